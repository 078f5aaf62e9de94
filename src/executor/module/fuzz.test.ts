import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  component,
  functionType,
  I32,
  type ModuleParts,
  sampleModule,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'
import { QuiverError } from '../../core/error.ts'
import type { CoreFacts, Limits, ModuleFacts } from '../facts.ts'

import { checkImports } from './imports.ts'
import { detectKind } from './kind.ts'
import { limitModule } from './limit.ts'
import { readModule } from './read.ts'

const ROUNDS = Number(process.env['QUIVER_FUZZ_ROUNDS'] ?? 20_000)
const SEED = Number(process.env['QUIVER_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const LIMITS = { memoryBytesMax: 32 * 65_536, tableElementsMax: 1000 }
const OFFERED = {
  modules: new Map([['quiver', new Map([['log', { params: ['i32', 'i32'], results: ['i32'] }]])]]),
  interfaces: new Set(['wasi:io/streams']),
}

const PARTS: ModuleParts = {
  imports: [
    ['quiver', 'log', 1],
    ['other-task', 'f', 2],
    ['env', 'memory', [2, 1, 1, 9]],
    ['env', 'table', [1, 0x70, 0, 5]],
    ['env', 'level', [3, I32, 0]],
  ],
  functions: [2, 0, 1],
  memories: [
    [0, 3],
    [5, 1, 200, 1],
  ],
  tables: [
    [0x70, 1, 1, 200, 1],
    [0x40, 0, 0x6f, 0, 1, 0xd0, 0x6f, 0x0b],
  ],
  exports: [
    ['_start', 0, 3],
    ['memory', 2, 0],
    ['handle', 0, 2],
  ],
  start: 3,
}

const SAMPLES: readonly Uint8Array[] = [
  sampleModule(PARTS),
  sampleModule({ memories: [[0, 1]], functions: [0], exports: [['run', 0, 0]] }),
  Uint8Array.from([
    ...sampleModule({ tables: [[0x70, 0, 1]] }),
    ...section(0, [...text('name'), 0, 6, ...text('hello')]),
    ...section(0, [...text('producers'), ...vector([...text('sdk'), 1, ...text('a'), 1, 0x31])]),
  ]),
  Uint8Array.from([
    ...sampleModule({}).subarray(0, 8),
    ...section(1, vector([0x4e, 1, 0x50, 0, 0x5f, 1, 0x78, 1], functionType([I32], [0x6b]))),
  ]),
  component(
    section(10, vector([0, ...text('wasi:io/streams@0.2.0'), 5, 0])),
    section(1, [...sampleModule({})]),
    section(11, vector([0, ...text('wasi:cli/run@0.2.0'), 5, 0, 1, 5, 0])),
  ),
]

test(`whatever is read gives facts or a QuiverError (QUIVER_FUZZ_SEED=${SEED})`, (t) => {
  const random = randomFrom(SEED)
  const counts = { accepted: 0, valid: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutate(SAMPLES[random(SAMPLES.length)] ?? new Uint8Array(), random)
    const facts = attempt(() => readModule(bytes))
    if (facts === undefined) continue
    counts.accepted++
    attempt(() => detectKind(facts))
    attempt(() => checkImports(facts, OFFERED))
    if (facts.format === 'core' && checkLimited(bytes, facts)) counts.valid++
  }
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.valid > 0, 'the mutations leave no valid module')
})

/** Limits a module that was accepted; whether V8 accepts it too. */
function checkLimited(bytes: Uint8Array<ArrayBuffer>, facts: CoreFacts): boolean {
  const limited = attempt(() => limitModule(bytes, LIMITS))
  const isValid = WebAssembly.validate(bytes)
  if (limited === undefined) return isValid
  if (isValid) assert.ok(WebAssembly.validate(Uint8Array.from(limited)), hex(bytes))
  assertSameButMaxima(facts, readModule(limited), bytes)
  return isValid
}

function assertSameButMaxima(before: CoreFacts, after: ModuleFacts, bytes: Uint8Array): void {
  assert.ok(after.format === 'core')
  assert.deepEqual(withoutMaxima(after), withoutMaxima(before), hex(bytes))
  const pages = sumOfMaxima(after.memories)
  assert.ok(pages * 65_536 <= LIMITS.memoryBytesMax, hex(bytes))
  assert.ok(sumOfMaxima(after.tables) <= LIMITS.tableElementsMax, hex(bytes))
}

function withoutMaxima(facts: CoreFacts): unknown {
  const memories = facts.memories.map((one) => ({ ...one, maximum: 0 }))
  const tables = facts.tables.map((one) => ({ ...one, maximum: 0 }))
  return { ...facts, memories, tables, sizes: { ...facts.sizes, totalBytes: 0 } }
}

function sumOfMaxima(all: readonly Limits[]): number {
  return all.reduce((sum, { maximum }) => sum + (maximum ?? Number.POSITIVE_INFINITY), 0)
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (thrown) {
    if (thrown instanceof QuiverError && thrown.code !== 'internal') return undefined
    throw thrown
  }
}

function mutate(sample: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  let bytes = Uint8Array.from(sample)
  for (let count = random(4); count >= 0; count--) {
    const at = random(bytes.length + 1)
    const kind = random(6)
    if (kind === 0) bytes = bytes.slice(0, at)
    if (kind === 1) bytes = splice(bytes, at, 0, [random(256)])
    if (kind === 2) bytes = splice(bytes, at, 1 + random(4), [])
    if (kind === 3) bytes = splice(bytes, at, 1, [random(2) === 0 ? random(256) : 0xff])
    if (kind === 4) bytes = splice(bytes, at, 0, bytes.subarray(at, at + random(32)))
    if (kind === 5 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
  }
  return bytes
}

function splice(
  bytes: Uint8Array,
  at: number,
  removed: number,
  added: Iterable<number>,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.subarray(0, at), ...added, ...bytes.subarray(at + removed)])
}

function hex(bytes: Uint8Array): string {
  return `seed ${SEED}: ${Buffer.from(bytes).toString('hex')}`
}

/** xorshift32. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
