import assert from 'node:assert/strict'
import { mkdtemp, open, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { suite, test } from 'node:test'

import { readCoreFacts, type CoreFacts } from './elf-core.ts'

const HEAD = 'pid=1 signal=11 comm=x\n'
const BUILD_ID = 'c0ffee'
const BASE = 0x40_00_00n

function note(type: number, name: string, content: Buffer): Buffer {
  const words = Buffer.alloc(12)
  words.writeUInt32LE(name.length + 1, 0)
  words.writeUInt32LE(content.length, 4)
  words.writeUInt32LE(type, 8)
  return Buffer.concat([words, pad(Buffer.from(`${name}\0`)), pad(content)])
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}

function numbers(...values: readonly bigint[]): Buffer {
  return Buffer.from(BigUint64Array.from(values).buffer)
}

interface Part {
  readonly type: number
  readonly address: bigint
  readonly content: Buffer
}

/** Header, table, and the parts one behind the other. */
function elf(parts: readonly Part[]): Buffer {
  const header = Buffer.alloc(64)
  header.write('\x7fELF\x02\x01\x01', 'latin1')
  header.writeBigUInt64LE(64n, 32)
  header.writeUInt16LE(56, 54)
  header.writeUInt16LE(parts.length, 56)
  let offset = 64 + 56 * parts.length
  const table = parts.map(({ type, address, content }) => {
    const one = Buffer.alloc(56)
    one.writeUInt32LE(type, 0)
    one.writeBigUInt64LE(BigInt(offset), 8)
    one.writeBigUInt64LE(address, 16)
    one.writeBigUInt64LE(BigInt(content.length), 32)
    offset += content.length
    return one
  })
  return Buffer.concat([header, ...table, ...parts.map(({ content }) => content)])
}

function sampleCore(): Buffer {
  const id = note(3, 'GNU', Buffer.from(BUILD_ID, 'hex'))
  const program = elf([{ type: 4, address: 0n, content: id }])
  const files = Buffer.concat([
    numbers(2n, 4096n, BASE, BASE + 4096n, 0n, BASE + 8192n, BASE + 12_288n, 1n),
    Buffer.from('/app/x\0/app/x\0'),
  ])
  const notes = [note(0x46_49_4c_45, 'CORE', files), note(6, 'CORE', numbers(9n, BASE + 8200n))]
  return elf([
    { type: 4, address: 0n, content: Buffer.concat(notes) },
    { type: 1, address: BASE, content: program },
  ])
}

async function factsOf(content: Buffer): Promise<CoreFacts> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'quiver-core-'))
  try {
    await using file = await open(path.join(folder, 'core'), 'w+')
    await file.write(Buffer.concat([Buffer.from(HEAD), content]), 0)
    return await readCoreFacts(file, HEAD.length)
  } finally {
    await rm(folder, { recursive: true })
  }
}

suite('a core dump', () => {
  test('says its program, what was mapped, and the build id', async () => {
    const program = { path: '/app/x', buildId: BUILD_ID }
    assert.deepEqual(await factsOf(sampleCore()), {
      program,
      modules: [program],
      isTruncated: false,
    })
  })

  test('cut off anywhere it is truncated, and nothing fails', async () => {
    const whole = sampleCore()
    for (let length = 0; length < whole.length; length += 3) {
      const facts = await factsOf(whole.subarray(0, length))
      assert.ok(facts.isTruncated, `of ${length} bytes`)
    }
  })

  test('with any byte of it changed nothing fails', async () => {
    const whole = sampleCore()
    for (const [index, value] of whole.entries()) {
      const changed = Buffer.from(whole)
      changed[index] = value ^ 0xff
      const { modules } = await factsOf(changed)
      assert.ok(modules.length <= 64)
    }
  })
})
