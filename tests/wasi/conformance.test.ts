/**
 * WASI preview 1 as a guest sees it: programs in C that call every function and compare every error number, on folders of the machine and in
 * memory alike.
 */

import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, suite, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'

import {
  createScratchDirectory,
  openHostDirectory,
  type SocketConnection,
  type VirtualDirectory,
  type WasiOptions,
} from '../../src/executor/wasi.ts'

import { Programs, runGuest } from './guest.ts'

const programs = new Programs()
after(() => programs[Symbol.asyncDispose]())

const PASSED = { status: 0, signal: undefined, stdout: '', stderr: '' }

/** Programs that change files, and what they need besides a folder. */
const ON_FILES: readonly (readonly [name: string, options: () => WasiOptions])[] = [
  ['paths', () => ({})],
  ['files', () => ({})],
  ['rights', () => ({})],
  ['listing', () => ({})],
  ['unstable', () => ({})],
  ['descriptors', () => ({ fdsMax: 32, stdin: chunks('input') })],
  ['poll', () => ({ stdin: chunks(setTimeout(20, 'input')) })],
  ['sockets', () => ({ sockets: [listener()] })],
]

suite('preview 1', () => {
  for (const [name, options] of ON_FILES) {
    test(`${name}, in memory`, async () => {
      const root = createScratchDirectory({ bytesMax: 1_000_000, nodesMax: 2000 })
      const result = await runGuest(await programs.compile(name), {
        ...options(),
        preopens: folders(root),
      })
      assert.deepEqual(result, PASSED)
      assert.deepEqual(root.list(), [], 'it left something behind')
    })

    test(`${name}, in a folder of the machine`, async (t) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'quiver-wasi-'))
      const root = openHostDirectory(folder, { isReadOnly: false })
      t.after(() => {
        root.close()
        return rm(folder, { recursive: true })
      })
      const result = await runGuest(await programs.compile(name), {
        ...options(),
        preopens: folders(root),
      })
      assert.deepEqual(result, PASSED)
      assert.deepEqual(await readdir(folder), [], 'it left something behind')
      assert.deepEqual(await openBelow(folder), [folder], 'descriptors of ours are open')
    })
  }
})

suite('a program', () => {
  const process = programs.compile('process')
  const start = async (args: readonly string[], options: WasiOptions = {}) =>
    runGuest(await process, { args: ['process', ...args], ...options })

  test('gets its arguments and environment, and nothing of the host', async () => {
    const { stdout } = await start(['report', '', 'späte Grüße'], { env: { A: '1', B: 'x=y' } })
    assert.equal(stdout, '[process][report][][späte Grüße]{A=1}{B=x=y}')
  })

  test('reads four clocks', async () => assert.deepEqual(await start(['clocks']), PASSED))

  test('gets random bytes', async () => assert.deepEqual(await start(['random']), PASSED))

  const exits: readonly [code: string, status: number][] = [
    ['0', 0],
    ['7', 7],
    ['255', 255],
    ['256', 255],
    ['257', 1],
    ['0xffffffff', 255],
  ]
  for (const [code, status] of exits) {
    test(`exits with ${code}, which is status ${status}`, async () => {
      assert.equal((await start(['exit', code])).status, status)
    })
  }

  test('ends by a signal', async () => {
    assert.deepEqual(await start(['raise', '6', '0']), { ...PASSED, status: 134, signal: 6 })
  })
  test('is not moved by a harmless signal', async () => {
    assert.deepEqual(await start(['raise', '16', '0']), PASSED)
    assert.deepEqual(await start(['raise', '18', '58']), PASSED)
    assert.deepEqual(await start(['raise', '31', '28']), PASSED)
  })

  test('reads what comes late and in pieces', async () => {
    const stdin = chunks('a', setTimeout(1, 'b\nc'), '\n', setTimeout(1, 'd'))
    assert.equal((await start(['cat'], { stdin })).stdout, 'ab\nc\nd')
  })

  test('that writes 10 GiB is held by whoever takes them', async () => {
    let [bytes, waiting, waitingMax] = [0, 0, 0]
    const stdout = {
      async write(chunk: Uint8Array) {
        waiting += 1
        waitingMax = Math.max(waiting, waitingMax)
        bytes += chunk.byteLength
        await Promise.resolve()
        waiting -= 1
      },
    }
    assert.deepEqual(await start(['flood'], { stdout }), PASSED)
    assert.equal(bytes, 10 * 2 ** 30)
    assert.equal(waitingMax, 1)
  })

  test('is told when nobody reads any more', async () => {
    const stdout = {
      write: () => Promise.reject(Object.assign(new Error('closed'), { code: 'EPIPE' })),
    }
    assert.equal((await start(['flood'], { stdout })).status, 64)
  })

  test('ends when a stream says so', async () => {
    const tooMuch = new Error('too much')
    const stdout = { write: () => Promise.reject(tooMuch) }
    await assert.rejects(start(['flood'], { stdout }), tooMuch)
  })
})

test('names with a scheme reach the embedder through the C library', async () => {
  const written: Uint8Array[] = []
  const result = await runGuest(await programs.compile('special'), {
    openSpecial: async (name, { write }) => {
      if (name === 'api://input') return { source: chunks('input') }
      if (name.startsWith('https:')) return { source: chunks(name) }
      if (name === 'api://forbidden') throw Object.assign(new Error('no'), { code: 'EACCES' })
      if (name !== 'api://output' || !write) return undefined
      return { sink: { write: (bytes) => void written.push(bytes) } }
    },
  })
  assert.deepEqual(result, PASSED)
  assert.equal(Buffer.concat(written).toString(), 'answer')
})

/** What this process has open at or below `folder`. */
async function openBelow(folder: string): Promise<readonly string[]> {
  const numbers = await readdir('/proc/self/fd')
  const paths = numbers.map((each) => readlink(`/proc/self/fd/${each}`).catch(() => ''))
  return (await Promise.all(paths)).filter((each) => each.startsWith(folder))
}

function folders(root: VirtualDirectory): WasiOptions['preopens'] & {} {
  const second = createScratchDirectory({ bytesMax: 1000, nodesMax: 10 })
  return [
    { name: '/', directory: root },
    { name: '/second', directory: second },
  ]
}

/** A source that gives these, one by one, and then its end. */
function chunks(...texts: readonly (string | Promise<string>)[]) {
  const left = [...texts]
  return {
    read: async () => {
      const text = left.shift()
      return text === undefined ? null : Buffer.from(await text)
    },
  }
}

/** Gives one connection, and then has no other. */
function listener() {
  let isFirst = true
  const connection: SocketConnection = {
    ...chunks('ping'),
    write: () => undefined,
    shutdown: ({ read, write }) => assert.deepEqual([read, write], [false, true]),
    close: () => undefined,
  }
  return {
    accept: async () => {
      const accepted = isFirst ? connection : undefined
      isFirst = false
      return accepted
    },
  }
}
