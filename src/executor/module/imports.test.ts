import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  component,
  coreModule,
  functionType,
  largeSection,
  sampleModule,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'

import { checkImports, type Offered } from './imports.ts'
import { readModule } from './read.ts'

const PAIR = { params: ['i32', 'i32'], results: ['i32'] }
const NOTHING = { params: [], results: [] }
const OFFERED: Offered = {
  modules: new Map([
    [
      'quiver',
      new Map([
        ['log', PAIR],
        ['flush', NOTHING],
      ]),
    ],
    ['wasi_snapshot_preview1', new Map([['fd_write', PAIR]])],
  ]),
  interfaces: new Set(['wasi:io/streams', 'wasi:cli/stdout']),
}

test('what is offered passes, also with a result that is not used', () => {
  const facts = readModule(
    sampleModule({
      imports: [
        ['quiver', 'log', 1],
        ['quiver', 'flush', 0],
        ['wasi_snapshot_preview1', 'fd_write', 1],
      ],
    }),
  )
  assert.deepEqual(checkImports(facts, OFFERED), [])
})

test('imports from the name of a task are links, each once', () => {
  const facts = readModule(
    sampleModule({
      imports: [
        ['image-filter', 'blur', 1],
        ['image-filter', 'blur', 1],
        ['image-filter', 'sharpen', 2],
      ],
    }),
  )
  assert.deepEqual(checkImports(facts, OFFERED), [
    { task: 'image-filter', function: 'blur', signature: PAIR },
    { task: 'image-filter', function: 'sharpen', signature: { params: [], results: ['i32'] } },
  ])
})

test('all that nobody offers is in one error, with what is near', () => {
  const facts = readModule(
    sampleModule({
      imports: [
        ['quiver', 'logg', 1],
        ['quiver', 'log', 2],
        ['wasi_snapshot_preview2', 'fd_write', 1],
        ['env', 'sin', 2],
        ['env', 'abort', 0],
        ['gojs', 'runtime.wasmExit', 0],
        ['env', 'memory', [2, 0, 1]],
        ['image-filter', 'blur', 1],
        ['image-filter', 'blur', 2],
      ],
    }),
  )
  assert.throws(() => checkImports(facts, OFFERED), {
    reason: 'MODULE_IMPORTS_UNKNOWN',
    message: [
      'nobody offers what the module imports: "quiver" "logg" (is "log" meant?)',
      '"quiver" "log" as () -> i32, which is (i32, i32) -> i32',
      '"wasi_snapshot_preview2" "fd_write" (is "wasi_snapshot_preview1" meant?)',
      '"env" "sin" (a symbol that no linked library defines)',
      '"env" "abort" (AssemblyScript: build with --use abort=, or with @assemblyscript/wasi-shim)',
      '"gojs" "runtime.wasmExit" (Go for browsers: build with GOOS=wasip1)',
      '"env" "memory" (a memory)',
      '"image-filter/blur" with two signatures',
    ].join('; '),
  })
})

test('a name cannot act on the terminal that shows the error', () => {
  const facts = readModule(sampleModule({ imports: [['wasi\r\n', '\u001b[2J', 0]] }))
  assert.throws(() => checkImports(facts, OFFERED), {
    message: 'nobody offers what the module imports: "wasi\\x0d\\n" "\\x1b[2J"',
  })
})

test('a hundred thousand long names that nobody offers are refused, and few of them listed', () => {
  const name = 'x'.repeat(100)
  const entries = Array.from({ length: 100_000 }, (_, index) => [
    ...text(name),
    ...text(`f${index}`),
    0,
    0,
  ])
  const types = coreModule(section(1, vector(functionType([], []))))
  const facts = readModule(Buffer.concat([types, largeSection(2, entries)]))
  assert.throws(() => checkImports(facts, OFFERED), { message: /; and 99980 more$/ })
})

suite('the imports of a component', () => {
  test('are offered in any version of 0.2', () => {
    const facts = readModule(withImports('wasi:io/streams@0.2.0', 'wasi:cli/stdout@0.2.8'))
    assert.deepEqual(checkImports(facts, OFFERED), [])
  })

  test('are refused in others, and when nobody has them', () => {
    const facts = readModule(withImports('wasi:io/streams@0.3.0', 'wasi:nn/tensor@0.2.0'))
    assert.throws(() => checkImports(facts, OFFERED), {
      message: /"wasi:io\/streams@0\.3\.0".*; "wasi:nn\/tensor@0\.2\.0"/,
    })
  })
})

function withImports(...names: readonly string[]): Uint8Array {
  return component(section(10, vector(...names.map((name) => [0, ...text(name), 5, 0]))))
}
