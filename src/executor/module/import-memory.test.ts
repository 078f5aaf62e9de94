import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  type Bytes,
  coreModule,
  functionBody,
  functionType,
  I32,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'
import { ModuleBinding } from '../run/binding.ts'

import { importMemory, MEMORY_IMPORT } from './import-memory.ts'
import { limitModule } from './limit.ts'
import { readModule } from './read.ts'

const LIMITS = { memoryBytesMax: 1 << 20, tableElementsMax: 10 }
const DATA_ADDRESS = 16
const COUNTER_ADDRESS = 8

/** Counts its calls in memory, and returns the count plus the first byte of its data: 100 more than the count. */
// prettier-ignore
const COUNT: Bytes = [
  0x41, COUNTER_ADDRESS, 0x41, COUNTER_ADDRESS, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0,
  0x41, COUNTER_ADDRESS, 0x28, 2, 0, 0x41, DATA_ADDRESS, 0x2d, 0, 0, 0x6a,
]

function moduleWith(
  imports: readonly Bytes[],
  memories: readonly Bytes[],
): Uint8Array<ArrayBuffer> {
  const count = imports.length
  const bytes = coreModule(
    section(1, vector(functionType([], []), functionType([], [I32]))),
    ...(imports.length > 0 ? [section(2, vector(...imports))] : []),
    section(3, vector([1])),
    section(5, vector(...memories)),
    section(7, vector([...text('count'), 0, count], [...text('memory'), 2, 0])),
    section(10, vector(functionBody(COUNT))),
    section(11, vector([0, 0x41, DATA_ADDRESS, 0x0b, 1, 100])),
  )
  return Uint8Array.from(limitModule(Uint8Array.from(bytes), LIMITS))
}

suite('a module gets its memory', () => {
  for (const [what, imports] of [
    ['without imports', []],
    ['with imports', [[...text('env'), ...text('f'), 0, 0]]],
  ] as const) {
    test(what, () => {
      const { bytes, memory } = importMemory(moduleWith(imports, [[0, 1]]), 16)
      assert.deepEqual(memory, { initial: 1, maximum: 16 })
      assert.ok(WebAssembly.validate(bytes))
      assert.equal(readModule(bytes).format, 'core')
      const given = new WebAssembly.Memory({ initial: 1, maximum: 16 })
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
        [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: given },
        env: { f: () => {} },
      })
      const { count, memory: exported } = instance.exports
      assert.ok(typeof count === 'function')
      assert.equal(count(), 101)
      assert.equal(exported, given)
    })
  }
})

suite('a module keeps its memory', () => {
  const cases: readonly (readonly [what: string, memories: readonly Bytes[], pages: number])[] = [
    ['that is larger than what is cleared', [[0, 3]], 2],
    [
      'beside another one',
      [
        [0, 1],
        [0, 1],
      ],
      16,
    ],
    ['that 64 bits address', [[4, 1]], 16],
  ]
  for (const [what, memories, pages] of cases) {
    test(what, () => {
      const before = moduleWith([], memories)
      const { bytes, memory } = importMemory(before, pages)
      assert.equal(memory, null)
      assert.equal(bytes, before)
    })
  }
})

test('nothing of one instance is in the next, which uses the same memory', () => {
  const { bytes, memory } = importMemory(moduleWith([], [[0, 1]]), 16)
  const binding = new ModuleBinding(new WebAssembly.Module(bytes), memory, [])
  for (let round = 0; round < 3; round++) {
    const instance = binding.instantiate(null, null)
    assert.equal(instance.call('count'), 101)
    assert.equal(instance.call('count'), 102)
    instance.end()
  }
})
