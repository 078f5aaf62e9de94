import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { Reader, type ByteSource } from './streams.ts'
import { Wasi } from './wasi.ts'

function source(...chunks: readonly (string | Error | null)[]): ByteSource & { reads: number } {
  const left = [...chunks]
  return {
    reads: 0,
    async read() {
      this.reads += 1
      const chunk = left.shift() ?? null
      if (chunk instanceof Error) throw chunk
      return chunk === null ? null : Buffer.from(chunk)
    },
  }
}

const textOf = async (read: Uint8Array | Promise<Uint8Array>) => Buffer.from(await read).toString()

suite('a reader', () => {
  test('keeps what was more than was asked for', async () => {
    const reader = new Reader(source('abcdef'))
    assert.equal(await textOf(reader.read(2)), 'ab')
    assert.equal(reader.available, 4)
    assert.equal(await textOf(reader.read(100)), 'cdef')
    assert.equal(await textOf(reader.read(100)), '')
  })

  test('asks once for what is read ahead and then read', async () => {
    const from = source('ab')
    const reader = new Reader(from)
    reader.readAhead()
    reader.readAhead()
    assert.equal(reader.available, undefined)
    assert.equal(await textOf(reader.read(9)), 'ab')
    assert.equal(from.reads, 1)
  })

  test('is not asked again after its end', async () => {
    const from = source(null)
    const reader = new Reader(from)
    assert.equal(await textOf(reader.read(9)), '')
    assert.equal(await textOf(reader.read(9)), '')
    assert.ok(reader.isAtEnd)
    assert.equal(from.reads, 1)
  })

  test('gives a failure to whoever reads next, also if it was met ahead', async () => {
    const failure = new Error('reset')
    const reader = new Reader(source(failure))
    reader.readAhead()
    await assert.rejects(async () => reader.read(9), failure)
  })
})

test('a non-blocking descriptor says AGAIN until there is something', async () => {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const wasi = new Wasi({ stdin: source('now') })
  wasi.bind(memory)
  const calls = wasi.functions()
  new Uint32Array(memory.buffer).set([100, 8])
  assert.equal(calls['fd_fdstat_set_flags']?.(0, 4), 0)
  assert.equal(calls['fd_read']?.(0, 0, 1, 64), 6)
  await new Promise(setImmediate)
  assert.equal(calls['fd_read']?.(0, 0, 1, 64), 0)
  assert.equal(Buffer.from(memory.buffer, 100, 3).toString(), 'now')
})
