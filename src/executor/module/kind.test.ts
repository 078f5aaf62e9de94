import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  component,
  type ModuleParts,
  sampleModule,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'

import { callableExports, detectKind } from './kind.ts'
import { readModule } from './read.ts'

const LOG: ModuleParts['imports'] = [['quiver', 'log', 1]]
const OLD: ModuleParts['imports'] = [['my-own-cluster', 'test', 2]]
/** With one import, functions 1 and 2 have the types `() -> ()` and `(i32, i32) -> i32`. */
const FUNCTIONS = [0, 1]

suite('the kind of a core module', () => {
  const cases: readonly (readonly [
    what: string,
    parts: ModuleParts,
    kind: string,
    entry?: string | null,
  ])[] = [
    ['a program', { exports: [['_start', 0, 0]] }, 'command', '_start'],
    [
      'a program with host functions',
      { imports: LOG, exports: [['_start', 0, 1]] },
      'command',
      '_start',
    ],
    [
      'host functions and handle',
      { imports: LOG, exports: [['handle', 0, 2]] },
      'function',
      'handle',
    ],
    [
      'handle before main',
      {
        imports: LOG,
        exports: [
          ['main', 0, 2],
          ['handle', 0, 2],
        ],
      },
      'function',
      'handle',
    ],
    ['host functions and main', { imports: OLD, exports: [['main', 0, 2]] }, 'function', 'main'],
    ['_start with arguments', { imports: OLD, exports: [['_start', 0, 2]] }, 'function', '_start'],
    [
      'one export of any name',
      {
        imports: OLD,
        exports: [
          ['upper', 0, 2],
          ['malloc', 0, 2],
        ],
      },
      'function',
      'upper',
    ],
    [
      'several exports of any name',
      {
        imports: OLD,
        exports: [
          ['upper', 0, 2],
          ['lower', 0, 2],
        ],
      },
      'function',
      null,
    ],
    ['handle without host functions', { exports: [['handle', 0, 1]] }, 'reactor'],
    [
      'exports by name',
      {
        exports: [
          ['add', 0, 1],
          ['_initialize', 0, 0],
        ],
      },
      'reactor',
    ],
  ]
  for (const [what, parts, kind, entry] of cases) {
    test(what, () => {
      const found = detectKind(readModule(sampleModule({ functions: FUNCTIONS, ...parts })))
      assert.equal(found.kind, kind)
      assert.equal('entry' in found ? found.entry : undefined, entry)
    })
  }

  test('_initialize is noticed', () => {
    const exports: ModuleParts['exports'] = [
      ['add', 0, 1],
      ['_initialize', 0, 0],
    ]
    const found = detectKind(readModule(sampleModule({ functions: FUNCTIONS, exports })))
    assert.ok(found.kind === 'reactor' && found.isInitialized)
    assert.deepEqual(
      found.exports.map(({ name }) => name),
      ['add'],
    )
  })

  const unknown: readonly (readonly [what: string, parts: ModuleParts])[] = [
    ['nothing to call', {}],
    ['only what toolchains add', { exports: [['malloc', 0, 1]] }],
    [
      'a command and a reactor',
      {
        exports: [
          ['_start', 0, 0],
          ['_initialize', 0, 0],
        ],
      },
    ],
  ]
  for (const [what, parts] of unknown) {
    test(`${what}: refused`, () => {
      const facts = readModule(sampleModule({ functions: FUNCTIONS, ...parts }))
      assert.throws(() => detectKind(facts), { reason: 'MODULE_KIND_UNKNOWN' })
    })
  }
})

test('exports that toolchains add are not called by users', () => {
  const names = ['add', 'malloc', '__heap_base', 'cabi_realloc', 'stackSave', '_initialize']
  const exports = names.map((name) => [name, 0, 0] as const)
  const facts = readModule(sampleModule({ functions: [0], exports }))
  assert.ok(facts.format === 'core')
  assert.deepEqual(
    callableExports(facts).map(({ name }) => name),
    ['add'],
  )
})

suite('the world of a component', () => {
  test('answers requests', () => {
    const found = detectKind(
      readModule(withExports('wasi:cli/run@0.2.0', 'wasi:http/incoming-handler@0.2.3')),
    )
    assert.deepEqual(found, {
      kind: 'component',
      world: 'wasi:http/proxy',
      export: 'wasi:http/incoming-handler@0.2.3',
    })
  })

  test('is a program', () => {
    const found = detectKind(readModule(withExports('wasi:cli/run@0.2.6')))
    assert.ok(found.kind === 'component')
    assert.equal(found.world, 'wasi:cli/command')
  })

  test('is another one, which is refused with what it exports', () => {
    const facts = readModule(withExports('wasi:http/handler@0.3.0'))
    assert.throws(() => detectKind(facts), {
      reason: 'MODULE_WORLD_UNKNOWN',
      message: /exports wasi:http\/handler@0\.3\.0/,
    })
  })
})

function withExports(...names: readonly string[]): Uint8Array {
  return component(section(11, vector(...names.map((name) => [0, ...text(name), 5, 0, 0]))))
}
