import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'

import {
  acceptSeqpacket,
  close,
  connectSeqpacket,
  flock,
  listenSeqpacket,
  lostMessageBytes,
  peerCredentials,
  receive,
  send,
  watchReadable,
} from './fds.ts'

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp('/tmp/quiver-fds-')
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** Both ends of one connection, closed after the test. */
async function openPair(t: TestContext): Promise<readonly [near: number, far: number]> {
  const address = path.join(await openFolder(t), 's')
  const listener = listenSeqpacket(address, 0o600)
  const near = connectSeqpacket(address)
  const far = acceptSeqpacket(listener)
  close(listener)
  assert.ok(far !== undefined)
  t.after(() => {
    for (const fd of [near, far]) if (isOpen(fd)) close(fd)
  })
  return [near, far]
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}

function isCloseOnExec(fd: number): boolean {
  const [, flags = ''] =
    /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0
}

const countDescriptors = (): number => readdirSync('/proc/self/fd').length

suite('sockets', () => {
  test('connecting to nothing throws the name of the errno', async (t) => {
    const folder = await openFolder(t)
    assert.throws(() => connectSeqpacket(path.join(folder, 'no')), {
      code: 'ENOENT',
      syscall: 'connect',
    })
    const stale = path.join(folder, 'stale')
    close(listenSeqpacket(stale, 0o600))
    assert.throws(() => connectSeqpacket(stale), { code: 'ECONNREFUSED' })
    assert.throws(() => connectSeqpacket('/'.repeat(108)), { code: 'ENAMETOOLONG' })
  })

  test('a full backlog throws EAGAIN instead of waiting', async (t) => {
    const address = path.join(await openFolder(t), 's')
    const fds = [listenSeqpacket(address, 0o600)]
    t.after(() => fds.forEach(close))
    assert.throws(
      () => {
        for (;;) fds.push(connectSeqpacket(address))
      },
      { code: 'EAGAIN' },
    )
  })

  test('accepting gives undefined when nobody waits, and says who connected', async (t) => {
    const address = path.join(await openFolder(t), 's')
    const listener = listenSeqpacket(address, 0o640)
    t.after(() => close(listener))
    assert.equal(statSync(address).mode & 0o777, 0o640)
    assert.equal(acceptSeqpacket(listener), undefined)
    const near = connectSeqpacket(address)
    const far = acceptSeqpacket(listener)
    assert.ok(far !== undefined)
    assert.deepEqual(peerCredentials(far), {
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    })
    close(near)
    close(far)
  })

  test('what is not a descriptor is refused before the kernel sees it', () => {
    for (const fd of [-1, 0.5, Number.NaN, 2 ** 40]) {
      assert.throws(() => receive(fd, 8), TypeError, String(fd))
    }
    assert.throws(() => receive(0, 0), TypeError)
    assert.throws(() => receive(0, 65_537), TypeError)
  })
})

suite('messages', () => {
  test('keep their bounds, and nothing is told apart from an empty one and from the end', async (t) => {
    const [near, far] = await openPair(t)
    assert.equal(receive(far, 8), undefined)
    assert.ok(send(near, Buffer.from('one')))
    assert.ok(send(near, Buffer.alloc(0)))
    assert.ok(send(near, Buffer.from('three')))
    close(near)
    assert.deepEqual(receive(far, 8), { bytes: Buffer.from('one'), fds: [] })
    assert.deepEqual(receive(far, 8), { bytes: Buffer.alloc(0), fds: [] })
    assert.deepEqual(receive(far, 8), { bytes: Buffer.from('three'), fds: [] })
    assert.equal(receive(far, 8), 'end')
    assert.throws(() => send(far, Buffer.from('x')), { code: 'EPIPE' })
  })

  test('carry descriptors both ways, close-on-exec', async (t) => {
    const [near, far] = await openPair(t)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const own = openSync('/proc/self/status', 'r')
      assert.ok(send(from, Buffer.from('take'), [own, own]))
      closeSync(own)
      const message = receive(to, 8)
      assert.ok(message !== undefined && message !== 'end')
      assert.equal(message.fds.length, 2)
      for (const fd of message.fds) {
        assert.ok(isCloseOnExec(fd))
        assert.match(readFileSync(`/proc/self/fd/${fd}`, 'utf8'), /^Name:/)
        close(fd)
      }
    }
  })

  test('that are longer than asked for are an error, and their descriptors are closed', async (t) => {
    const [near, far] = await openPair(t)
    const before = countDescriptors()
    assert.ok(send(near, Buffer.from('too long'), [0, 0, 0]))
    assert.throws(() => receive(far, 4), { code: 'EMSGSIZE' })
    assert.equal(countDescriptors(), before)
  })

  test('whose descriptors find no room are an error that keeps the bytes', async (t) => {
    const [near, far] = await openPair(t)
    const before = countDescriptors()
    assert.ok(send(near, Buffer.from('answer 7'), [0, 0, 0]))
    const limit = /Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))
    const fillers: number[] = []
    try {
      // One place is left for three descriptors.
      for (let count = before; count < Number(limit?.[1]) - 1; count++) {
        fillers.push(openSync('/dev/null', 'r'))
      }
      assert.throws(
        () => receive(far, 8),
        (thrown: unknown) => lostMessageBytes(thrown)?.toString() === 'answer 7',
      )
    } catch (thrown) {
      if (!isOutOfDescriptors(thrown)) throw thrown
    } finally {
      fillers.forEach(closeSync)
    }
    assert.equal(countDescriptors(), before)
  })

  test('254 descriptors are refused', async (t) => {
    const [near] = await openPair(t)
    assert.throws(() => send(near, Buffer.from('x'), Array<number>(254).fill(0)), TypeError)
  })
})

suite('watchReadable()', () => {
  test('delivers a burst of 10,000 messages in order, each side at its own pace', async (t) => {
    const [near, far] = await openPair(t)
    const seen: number[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    using reading = watchReadable(far, () => {
      // Some are left in the socket on purpose: they must call back again.
      for (let turn = 0; turn < 100; turn++) {
        const message = receive(far, 4)
        if (message === undefined) return
        if (message === 'end') return resolve()
        seen.push(message.bytes.readUInt32LE(0))
      }
    })
    using writing = watchReadable(near, () => assert.fail('nothing is sent back'))
    let next = 0
    const write = (): void => {
      for (; next < 10_000; next++) {
        const bytes = Buffer.alloc(4)
        bytes.writeUInt32LE(next, 0)
        if (!send(near, bytes)) return writing.onceWritable(write)
      }
      writing[Symbol.dispose]()
      close(near)
    }
    write()
    await promise
    assert.ok(reading)
    assert.deepEqual(
      seen,
      Array.from({ length: 10_000 }, (_, index) => index),
    )
  })

  test('does not call back after it was disposed, also from within its own callback', async (t) => {
    const [near, far] = await openPair(t)
    let calls = 0
    const { promise, resolve } = Promise.withResolvers<void>()
    const watch = watchReadable(far, () => {
      calls++
      watch[Symbol.dispose]()
      watch[Symbol.dispose]()
      setImmediate(() => setImmediate(resolve))
    })
    send(near, Buffer.from('1'))
    send(near, Buffer.from('2'))
    await promise
    assert.equal(calls, 1)
  })

  test('wakes for a peer that broke off with our message unread', async (t) => {
    const [near, far] = await openPair(t)
    send(far, Buffer.from('unread'))
    const { promise, resolve } = Promise.withResolvers<unknown>()
    using watch = watchReadable(far, () => {
      try {
        resolve(receive(far, 8))
      } catch (thrown) {
        resolve(thrown)
      }
    })
    close(near)
    assert.equal((await promise) instanceof Error, true)
    assert.ok(watch)
  })

  test('a regular file cannot be watched', (t) => {
    const fd = openSync(import.meta.filename, 'r')
    t.after(() => closeSync(fd))
    assert.throws(() => watchReadable(fd, () => {}), { code: 'EPERM' })
  })

  test('an error in a callback is an uncaught exception like any other', async (t) => {
    const [near, far] = await openPair(t)
    const { promise, resolve } = Promise.withResolvers<unknown>()
    process.setUncaughtExceptionCaptureCallback(resolve)
    t.after(() => process.setUncaughtExceptionCaptureCallback(null))
    const watch = watchReadable(far, () => {
      watch[Symbol.dispose]()
      throw new Error('from the callback')
    })
    send(near, Buffer.from('x'))
    assert.match(String(await promise), /from the callback/)
  })

  test('a worker that is ended takes its watches along', async () => {
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.module).then(({ listenSeqpacket, connectSeqpacket, watchReadable }) => {
        const listener = listenSeqpacket(workerData.address, 0o600)
        for (let turn = 0; turn < 20; turn++) {
          watchReadable(connectSeqpacket(workerData.address), () => {})
        }
        watchReadable(listener, () => {})
        parentPort.postMessage('watching')
      })`
    const folder = await mkdtemp('/tmp/quiver-fds-')
    const workerData = {
      module: path.join(import.meta.dirname, 'fds.ts'),
      address: path.join(folder, 's'),
    }
    const worker = new Worker(source, { eval: true, workerData })
    await once(worker, 'message')
    assert.equal(await worker.terminate(), 1)
    await rm(folder, { recursive: true })
  })

  test('can be started and stopped 10,000 times without a descriptor left', async (t) => {
    const [, far] = await openPair(t)
    const before = countDescriptors()
    for (let turn = 0; turn < 10_000; turn++) watchReadable(far, () => {})[Symbol.dispose]()
    await new Promise(setImmediate)
    assert.equal(countDescriptors(), before)
  })
})

test('flock() shares among readers and refuses a writer', async (t) => {
  const name = path.join(await openFolder(t), 'lock')
  const fds = ['w', 'r', 'r'].map((flags) => openSync(name, flags))
  t.after(() => fds.forEach(closeSync))
  const [writer = -1, reader = -1, other = -1] = fds
  assert.ok(flock(reader, 'shared'))
  assert.ok(flock(other, 'shared'))
  assert.equal(flock(writer, 'exclusive'), false)
})

test('dieWithParent() ends a process whose parent is killed', async () => {
  const child = `
    const { dieWithParent } = await import(${JSON.stringify(path.join(import.meta.dirname, 'fds.ts'))})
    dieWithParent(process.ppid)
    setInterval(() => {}, 1e6)
    process.stdout.write('ready')`
  const parent = `
    require('node:child_process').spawn(process.execPath, ['--input-type=module', '-e', process.argv[1]], {
      stdio: 'inherit',
    })`
  const middle = spawn(process.execPath, ['-e', parent, child], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(middle.stdout, 'data')
  middle.kill('SIGKILL')
  // Its end is the end of the last process that writes to it.
  await once(middle.stdout.resume(), 'end')
})

test('trimMemory() gives back what is free between what is in use', () => {
  const program = `
    const { trimMemory } = await import(${JSON.stringify(path.join(import.meta.dirname, 'fds.ts'))})
    let blocks = Array.from({ length: 20_000 }, () => Buffer.allocUnsafeSlow(2048).fill(1))
    const kept = blocks.filter((_block, index) => index % 20 === 0)
    blocks = []
    // V8 frees them on another thread.
    while (process.memoryUsage().arrayBuffers > 8_000_000) {
      gc()
      await new Promise(setImmediate)
    }
    const { rss } = process.memoryUsage()
    trimMemory()
    const freed = rss - process.memoryUsage().rss
    process.stdout.write(String(kept.length > 0 ? freed : 0))`
  const args = ['--expose-gc', '--input-type=module', '-e', program]
  const freed = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
  assert.ok(freed > 16 * 1024 * 1024, `${freed} bytes were given back`)
})

function isOutOfDescriptors(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'EMFILE'
}
