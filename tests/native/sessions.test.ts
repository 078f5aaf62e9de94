/** Sessions: other processes in the instance, and the task's own stdio. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { encodeU32, FRAME } from '../../src/core/frames.ts'

import { Instance, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

const BUSYBOX = '/usr/bin/busybox'

const shell = (script: string) => ['/bin/sh', '-c', script]

function resize(rows: number, columns: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt16LE(rows, 0)
  payload.writeUInt16LE(columns, 2)
  return payload
}

suite('ainit: exec sessions', () => {
  test('stdin, stdout, stderr and status are apart', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(shell('cat; echo err >&2; exit 7'))
    session.send(FRAME.STDIN, 'through ')
    session.send(FRAME.STDIN, 'cat')
    session.send(FRAME.STDIN_EOF)
    assert.deepEqual(await session.finish(), {
      stdout: 'through cat',
      stderr: 'err\n',
      status: 7,
      error: undefined,
    })
  })

  test('a program is found in PATH; one that is not there is named', async () => {
    await using instance = await Instance.start(workshop)
    const found = await instance.exec(['sh', '-c', 'echo $0'], [['program', 'sh']])
    assert.equal((await found.finish()).stdout, 'sh\n')
    const missing = await instance.exec(['no-such-program'])
    assert.match((await missing.finish()).error ?? '', /^errno=2 text=exec: ENOENT/)
  })

  test('a terminal has a size, echoes, interrupts and ends', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(
      ['/bin/sh'],
      [
        ['program', '/bin/sh'],
        ['terminal', '24:80'],
      ],
    )
    session.send(FRAME.STDIN, 'tty; stty size; echo re""ady\n')
    assert.match(await session.until('ready\r\n'), /\/dev\/pts\/\d+\r\n24 80\r\n/)
    session.send(FRAME.RESIZE, resize(50, 132))
    session.send(FRAME.STDIN, 'stty size; /tmp/probe say in""side\n')
    // Once the program speaks, it is the terminal's foreground and has no handler.
    assert.match(await session.until('inside\r\n'), /50 132/)
    session.send(FRAME.STDIN, '\x03')
    session.send(FRAME.STDIN, 'echo still h""ere\n')
    await session.until('still here')
    session.send(FRAME.STDIN_EOF)
    assert.equal((await session.finish()).status, 0)
  })

  test('a session is signalled by its own connection', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(
      shell('trap "echo caught; exit 9" TERM; echo up; sleep 1000 & wait'),
    )
    await session.until('up')
    session.send(FRAME.KILL_SESSION, encodeU32(15))
    const { stdout, status } = await session.finish()
    assert.deepEqual({ stdout, status }, { stdout: 'caught\n', status: 9 })
  })

  test('closing the connection ends the session, also one that ignores the hang-up', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(
      shell('trap "" HUP TERM; sleep 1000 & echo up; while :; do wait; sleep 1; done'),
    )
    await session.until('up')
    session.close()
    const list = async () => {
      const lister = await instance.exec(shell('cat /proc/[0-9]*/cmdline'))
      const { stdout } = await lister.finish()
      lister.close()
      return stdout
    }
    while ((await list()).includes('trap'));
  })

  test('big input waits for a slow reader and arrives whole', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(shell('sleep 0.1; wc -c'))
    const block = Buffer.alloc(65_536, 'x')
    for (let count = 0; count < 64; count++) session.send(FRAME.STDIN, block)
    session.send(FRAME.STDIN_EOF)
    assert.equal((await session.finish()).stdout.trim(), String(64 * 65_536))
  })

  test('big output waits for a slow client and arrives whole', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(['/tmp/probe', 'flood', String(8 << 20)])
    session.socket.pause()
    const other = await instance.exec(['/bin/true'])
    assert.equal((await other.finish()).status, 0)
    session.socket.resume()
    const { stdout, status } = await session.finish()
    assert.equal(status, 0)
    assert.equal(stdout.length, 8 << 20)
    assert.ok(stdout.endsWith(`${String((8 << 20) / 64 - 1).padStart(63, '0')}\n`))
  })

  test('there are at most 32 at a time', async () => {
    await using instance = await Instance.start(workshop)
    const sessions = await Promise.all(
      Array.from({ length: 32 }, () => instance.exec(shell('echo up; cat'))),
    )
    for (const session of sessions) await session.until('up')
    const refused = await instance.exec(['/bin/true'])
    assert.match((await refused.finish()).error ?? '', /^errno=11 /)
    sessions[0]?.send(FRAME.STDIN_EOF)
    await sessions[0]?.finish()
    const accepted = await instance.exec(['/bin/true'])
    assert.equal((await accepted.finish()).status, 0)
  })

  test(
    'a lent busybox runs, with its applets, where there is no file but its own',
    { skip: !existsSync(BUSYBOX) },
    async () => {
      const root = path.join(workshop.folder, 'empty')
      mkdirSync(root, { mode: 0o755 })
      await using instance = await Instance.start(workshop, {
        root: ['--tmpfs', '/', '--dir', '/tmp'],
        records: [['lend', BUSYBOX]],
      })
      const session = await instance.exec(
        ['sh', '-c', 'ls / && echo $(cat /proc/self/comm)'],
        [['lend', '1']],
      )
      const { stdout, status } = await session.finish()
      assert.equal(status, 0)
      assert.equal(stdout, 'dev\nproc\ntmp\ncat\n')
      await using without = await Instance.start(workshop)
      const refused = await without.exec(['sh'], [['lend', '1']])
      assert.match((await refused.finish()).error ?? '', /^errno=2 /)
    },
  )
})

suite('ainit: attached sessions', () => {
  test('output so far is replayed, live output follows, EXIT comes last', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell('echo early; read line; echo "got $line" >&2; exit 4'),
      records: [['stdin', '1']],
    })
    const first = await instance.attach('primary')
    await first.until('early')
    const second = await instance.attach('observer')
    await second.until('early')
    second.send(FRAME.STDIN, 'typed\n')
    const expected = { stdout: '', stderr: 'got typed\n', status: 4, error: undefined }
    assert.deepEqual(await Promise.all([first.finish(), second.finish()]), [expected, expected])
  })

  test('end of stdin reaches the task', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/bin/cat'],
      records: [['stdin', '1']],
    })
    const attached = await instance.attach('primary')
    attached.send(FRAME.STDIN, 'all')
    attached.send(FRAME.STDIN_EOF)
    assert.equal((await attached.finish()).stdout, 'all')
    assert.equal(await instance.ended, 0)
  })

  test('a task on a terminal is attached to with its size', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell('stty size; read line; stty size'),
      records: [['terminal', '10:20']],
    })
    const attached = await instance.attach('primary')
    await attached.until('10 20')
    attached.send(FRAME.RESIZE, resize(30, 40))
    attached.send(FRAME.STDIN, '\n')
    assert.match((await attached.finish()).stdout, /30 40/)
  })

  test('a primary reader loses nothing, however slow', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/tmp/probe', 'flood', String(8 << 20)],
      records: [['hold', '1']],
    })
    const primary = await instance.attach('primary')
    primary.socket.pause()
    primary.send(FRAME.START)
    const watch = await instance.watch()
    await watch.event('exec')
    primary.socket.resume()
    const { stdout, status } = await primary.finish()
    assert.equal(status, 0)
    assert.equal(stdout.length, 8 << 20)
  })

  test('an observer that is slow loses the oldest output and is told how much', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell(`/tmp/probe flood ${8 << 20}; read line`),
      records: [
        ['hold', '1'],
        ['stdin', '1'],
      ],
    })
    const observer = await instance.attach('observer')
    observer.socket.pause()
    const primary = await instance.attach('primary')
    primary.send(FRAME.START)
    await primary.until(`${String((8 << 20) / 64 - 1).padStart(63, '0')}\n`)
    primary.send(FRAME.STDIN_EOF)
    observer.socket.resume()
    const { stdout, stderr } = await observer.finish()
    const told = [...stderr.matchAll(/^ainit: (\d+) bytes of output were dropped here\n/gm)]
    assert.ok(told.length >= 1)
    assert.equal(stdout.length + told.reduce((sum, [, bytes]) => sum + Number(bytes), 0), 8 << 20)
    assert.ok(stdout.endsWith(`${String((8 << 20) / 64 - 1).padStart(63, '0')}\n`))
  })

  test('the ring holds the newest 64 KiB', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell(`/tmp/probe flood ${1 << 20}; echo done; read line`),
      records: [['stdin', '1']],
    })
    const first = await instance.attach('primary')
    await first.until('done')
    const late = await instance.attach('observer')
    first.send(FRAME.STDIN_EOF)
    const { stdout } = await late.finish()
    assert.equal(stdout.length, 65_536)
    assert.ok(stdout.endsWith('done\n'))
  })
})
