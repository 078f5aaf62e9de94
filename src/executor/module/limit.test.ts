import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  type Bytes,
  component,
  coreModule,
  functionBody,
  functionType,
  I32,
  leb,
  sampleModule,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'

import { limitModule } from './limit.ts'
import { readModule } from './read.ts'

const PAGE = 65_536
const LIMITS = { memoryBytesMax: 16 * PAGE, tableElementsMax: 100 }
const NONE = 0
const MAXIMUM = 1

/** The maxima of its memories and tables after limiting, each checked by V8 too. */
function maximaOf(bytes: Uint8Array, limits = LIMITS): readonly (readonly (number | null)[])[] {
  const limited = limitModule(bytes, limits)
  assert.ok(WebAssembly.validate(Uint8Array.from(limited)))
  const facts = readModule(limited)
  assert.ok(facts.format === 'core')
  return [facts.memories, facts.tables].map((all) => all.map(({ maximum }) => maximum))
}

suite('each memory and table has a maximum afterwards', () => {
  const cases: readonly (readonly [
    what: string,
    memories: readonly Bytes[],
    tables: readonly Bytes[],
    expected: readonly (readonly number[])[],
  ])[] = [
    ['none is declared', [], [], [[], []]],
    ['no maximum', [[NONE, 1]], [[0x70, NONE, 1]], [[16], [100]]],
    ['a lower one', [[MAXIMUM, 1, 2]], [[0x70, MAXIMUM, 1, 7]], [[2], [7]]],
    [
      'a higher one',
      [[MAXIMUM, 1, ...leb(65_536)]],
      [[0x70, MAXIMUM, 1, ...leb(1e6)]],
      [[16], [100]],
    ],
    ['full from the start', [[NONE, 16]], [[0x70, NONE, 100]], [[16], [100]]],
    [
      'several, which share',
      [
        [NONE, 1],
        [MAXIMUM, 2, 4],
        [NONE, 3],
      ],
      [],
      [[11, 2, 3], []],
    ],
    [
      'several, the first with less',
      [
        [MAXIMUM, 1, 2],
        [NONE, 2],
      ],
      [],
      [[2, 14], []],
    ],
    [
      'several tables',
      [],
      [
        [0x70, NONE, 10],
        [0x6f, NONE, 20],
      ],
      [[], [80, 20]],
    ],
    ['64-bit memory', [[4, 1]], [], [[16], []]],
    ['64-bit memory with a maximum', [[5, 1, ...leb(1e9)]], [], [[16], []]],
    [
      'a table with an initial value',
      [],
      [[0x40, 0, 0x70, NONE, 1, 0xd0, 0x70, 0x0b]],
      [[], [100]],
    ],
  ]
  for (const [what, memories, tables, expected] of cases) {
    test(what, () => {
      assert.deepEqual(maximaOf(sampleModule({ memories, tables })), expected)
    })
  }

  test('imported ones', () => {
    const imports = [
      ['env', 'memory', [2, NONE, 1]],
      ['env', 'table', [1, 0x70, NONE, 1]],
    ] as const
    assert.deepEqual(maximaOf(sampleModule({ imports, memories: [[NONE, 2]] })), [[14, 2], [100]])
  })

  test('a size that is written longer than it must be', () => {
    const padded = [5, 0x83, 0x80, 0x00, ...vector([NONE, 1])]
    assert.deepEqual(maximaOf(coreModule(padded)), [[16], []])
  })

  test('a section whose size needs one byte more', () => {
    const memories = Array.from({ length: 63 }, () => [NONE, 0])
    const [maxima] = maximaOf(sampleModule({ memories }))
    assert.deepEqual(maxima, [16, ...Array.from({ length: 62 }, () => 0)])
  })
})

test('a module that keeps to the limits is returned itself', () => {
  const bytes = sampleModule({ memories: [[MAXIMUM, 1, 2]] })
  assert.equal(limitModule(bytes, LIMITS), bytes)
})

test('memory.grow fails at the limit, and works below it', async () => {
  const grow = functionBody([0x20, 0, 0x40, 0])
  const bytes = coreModule(
    section(1, vector(functionType([I32], [I32]))),
    section(3, vector([0])),
    section(5, vector([NONE, 1])),
    section(7, vector([...text('grow'), 0, 0])),
    section(10, vector(grow)),
  )
  const limited = Uint8Array.from(limitModule(bytes, LIMITS))
  const { instance } = await WebAssembly.instantiate(limited)
  const call = instance.exports['grow']
  assert.ok(typeof call === 'function')
  const results = [10, 5, 1].map((pages): unknown => call(pages))
  assert.deepEqual(results, [1, 11, -1])
})

suite('what starts above its limit is refused', () => {
  const cases: readonly (readonly [what: string, bytes: Uint8Array, reason: string])[] = [
    ['memory', sampleModule({ memories: [[NONE, 17]] }), 'MODULE_MEMORY_TOO_LARGE'],
    [
      'all of 4 GiB',
      sampleModule({ memories: [[NONE, ...leb(65_536)]] }),
      'MODULE_MEMORY_TOO_LARGE',
    ],
    [
      'two memories',
      sampleModule({
        memories: [
          [NONE, 9],
          [NONE, 8],
        ],
      }),
      'MODULE_MEMORY_TOO_LARGE',
    ],
    ['a table', sampleModule({ tables: [[0x70, NONE, 101]] }), 'MODULE_TABLE_TOO_LARGE'],
    ['shared memory', sampleModule({ memories: [[3, 1, 2]] }), 'MODULE_SHARED_MEMORY'],
    ['a component', component(), 'MODULE_IS_COMPONENT'],
  ]
  for (const [what, bytes, reason] of cases) {
    test(what, () => assert.throws(() => limitModule(bytes, LIMITS), { reason }))
  }
})
