import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  type Bytes,
  component,
  coreModule,
  functionType,
  I32,
  I64,
  largeSection,
  leb,
  sampleModule,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'

import { readModule } from './read.ts'

/** A type section with `() -> ()`, and a function of it whose body is empty. */
const TYPE = section(1, vector(functionType([], [])))
const FUNCTION = section(3, vector([0]))
const CODE = section(10, vector([2, 0, 0x0b]))

test('imports and exports are read with their kinds and signatures', () => {
  const facts = readModule(
    sampleModule({
      imports: [
        ['quiver', 'log', 1],
        ['env', 'memory', [2, 1, 1, 4]],
        ['env', 'table', [1, 0x70, 0, 5]],
        ['env', 'level', [3, I64, 1]],
      ],
      functions: [2, 0],
      memories: [[0, 3]],
      exports: [
        ['run', 0, 1],
        ['memory', 2, 1],
        ['log', 0, 0],
      ],
      start: 2,
    }),
  )
  assert.ok(facts.format === 'core')
  const pair = { params: ['i32', 'i32'], results: ['i32'] }
  assert.deepEqual(facts.imports, [
    { module: 'quiver', name: 'log', kind: 'function', signature: pair },
    { module: 'env', name: 'memory', kind: 'memory', signature: null },
    { module: 'env', name: 'table', kind: 'table', signature: null },
    { module: 'env', name: 'level', kind: 'global', signature: null },
  ])
  assert.deepEqual(facts.exports, [
    { name: 'run', kind: 'function', signature: { params: [], results: ['i32'] } },
    { name: 'memory', kind: 'memory', signature: null },
    { name: 'log', kind: 'function', signature: pair },
  ])
  const limits = { is64: false, isShared: false }
  assert.deepEqual(facts.memories, [
    { initial: 1, maximum: 4, isImported: true, ...limits },
    { initial: 3, maximum: null, isImported: false, ...limits },
  ])
  assert.equal(facts.tables[0]?.element, 'funcref')
  assert.equal(facts.start, 2)
  assert.equal(facts.functions, 2)
})

test('the name and the producers of a module are read for people', () => {
  const producers = vector(
    [...text('language'), ...vector([...text('C11'), ...text('')])],
    [...text('processed-by'), ...vector([...text('clang'), ...text('14.0.6')])],
  )
  const facts = readModule(
    coreModule(
      section(0, [...text('name'), 0, ...leb(6), ...text('hello')]),
      section(0, [...text('producers'), ...producers]),
    ),
  )
  assert.equal(facts.name, 'hello')
  assert.deepEqual(facts.producers, { language: ['C11'], processedBy: ['clang 14.0.6'], sdk: [] })
  assert.deepEqual(facts.customSections, ['name', 'producers'])
})

test('a malformed custom section makes no module invalid', () => {
  const facts = readModule(coreModule(section(0, [...text('producers'), 0xff, 0xff])))
  assert.deepEqual(facts.customSections, ['producers'])
})

test('types of the GC proposal keep the indices of the others', () => {
  const struct = [0x5f, ...vector([0x78, 1], [0x64, 0x6b, 0])]
  const group = [0x4e, ...vector([0x50, 0, ...struct], [0x4f, 1, 0, 0x5e, 0x63, 0, 1])]
  const facts = readModule(
    coreModule(section(1, vector(group, [0x60, 1, 0x64, 0, 1, 0x63, 0x70])), section(3, [0])),
  )
  assert.ok(facts.format === 'core')
  assert.deepEqual(facts.types, [null, null, { params: ['(ref 0)'], results: ['(ref null func)'] }])
})

test('the border of a component is read, whatever is inside', () => {
  const imported = [0, ...text('wasi:io/streams@0.2.0'), 5, 0]
  const resource = [1, ...text('thing'), 3, 1]
  const exported = [0, ...text('wasi:http/incoming-handler@0.2.3'), 5, 2, 0]
  const facts = readModule(
    component(
      section(7, [9, 9, 9]),
      section(10, vector(imported)),
      section(1, [...coreModule()]),
      section(10, vector(resource)),
      section(11, vector(exported)),
    ),
  )
  assert.ok(facts.format === 'component')
  assert.deepEqual(facts.imports, [
    { name: 'wasi:io/streams@0.2.0', kind: 'instance' },
    { name: 'thing', kind: 'type' },
  ])
  assert.deepEqual(facts.exports, [{ name: 'wasi:http/incoming-handler@0.2.3', kind: 'instance' }])
  assert.equal(facts.nested, 1)
})

test('a component name may have the older prefix, or the rest of its version behind it', () => {
  const facts = readModule(
    component(
      section(
        11,
        vector(
          [1, ...text('wasi:cli/run@0.2.0'), 5, 0, 0],
          [1, ...text('wasi:cli/other@0.2'), ...text('.6'), 5, 0x2e, 0],
          [1, ...text('plain'), 1, 0, 0],
        ),
      ),
    ),
  )
  const names = facts.exports.map(({ name }) => name)
  assert.deepEqual(names, ['wasi:cli/run@0.2.0', 'wasi:cli/other@0.2.6', 'plain'])
})

suite('what is malformed is refused with its section and byte', () => {
  const longName = [...leb(20_000), ...Array.from({ length: 20_000 }, () => 0x61)]
  const oneExport = [...text('a'), 0, 0]
  const cases: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
    ['nothing', new Uint8Array(), /header, byte 0: ends where the magic number/],
    ['text', new TextEncoder().encode('#!/bin/sh'), /header, byte 0: it does not begin/],
    ['half a header', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1), /byte 5: ends/],
    ['a section too long', coreModule([1, 100, 0]), /said to have 100 bytes, and 1 are left/],
    ['a size of 6 bytes', coreModule([1, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), /not a 32-bit number/],
    ['a size of 33 bits', coreModule([1, 0xff, 0xff, 0xff, 0xff, 0x1f]), /not a 32-bit number/],
    ['a section nobody knows', coreModule(section(14, [])), /there is no section 14/],
    ['sections out of order', coreModule(section(7, [0]), TYPE), /behind the export section/],
    ['a section twice', coreModule(TYPE, TYPE), /type section.*comes twice/],
    ['a type left over', coreModule(section(1, [0, 0])), /1 bytes are left over/],
    ['a function without body', coreModule(TYPE, FUNCTION), /1 functions are declared, and 0 have/],
    ['a body without function', coreModule(TYPE, CODE), /0 functions are declared, and 1 have/],
    ['a type that is not there', coreModule(section(3, vector([7]))), /type 7 is not there/],
    [
      'a name that is not UTF-8',
      coreModule(section(2, vector([2, 0xc3, 0x28, 0, 0, 0]))),
      /import section, byte 11: the module of an import is not UTF-8/,
    ],
    [
      'an export twice',
      coreModule(TYPE, FUNCTION, section(7, vector(oneExport, oneExport)), CODE),
      /"a" is exported twice/,
    ],
    [
      'an export of nothing',
      coreModule(TYPE, FUNCTION, section(7, vector([...text('a'), 0, 1])), CODE),
      /there is no function 1/,
    ],
    ['more memory than there is', coreModule(section(5, vector([0, ...leb(65_537)]))), /65536 pa/],
    ['a maximum below', coreModule(section(5, vector([1, 2, 1]))), /maximum of 1, below/],
    ['a count it cannot hold', coreModule(section(7, leb(9999))), /its size cannot hold/],
    ['a component section', component(section(13, [])), /no section 13/],
    [
      'a component export twice',
      component(section(11, vector([0, ...text('a'), 1, 0, 0], [0, ...text('a'), 1, 0, 0]))),
      /the export "a" comes twice/,
    ],
  ]
  for (const [what, bytes, message] of cases) {
    test(what, () => {
      assert.throws(() => readModule(bytes), { code: 'invalid_argument', message })
    })
  }

  test('a version that is not known', () => {
    const bytes = Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0)
    assert.throws(() => readModule(bytes), { reason: 'MODULE_VERSION_UNKNOWN' })
  })

  const large: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
    ['a million exports', coreModule(section(7, leb(1_000_000))), /1000000 exports, and 100000/],
    ['an overlong name', coreModule(section(0, longName)), /name of a custom section of 20000 b/],
    ['a module of 300 MB', new Uint8Array(300_000_000), /268435456 are allowed/],
    ['too many parameters', coreModule(section(1, [1, 0x60, ...leb(2000)])), /2000 parameters/],
  ]
  for (const [what, bytes, message] of large) {
    test(what, () => {
      assert.throws(() => readModule(bytes), { reason: 'MODULE_TOO_LARGE', message })
    })
  }
})

test('a hundred thousand exports are read', () => {
  const names = Array.from({ length: 100_000 }, (_, index): Bytes => [...text(`f${index}`), 0, 0])
  const before = coreModule(TYPE, FUNCTION)
  const facts = readModule(Buffer.concat([before, largeSection(7, names), Buffer.from(CODE)]))
  assert.equal(facts.exports.length, 100_000)
})

test('each prefix of a module is refused, but where a section ends', () => {
  const whole = sampleModule({
    imports: [['quiver', 'log', 1]],
    functions: [0],
    exports: [['_start', 0, 1]],
  })
  const accepted = Array.from(whole, (_, length) => length).filter((length) => {
    try {
      readModule(whole.subarray(0, length))
      return true
    } catch {
      return false
    }
  })
  assert.ok(accepted.every((length) => WebAssembly.validate(whole.subarray(0, length))))
})

test('a signature is that of the type that is named', () => {
  const facts = readModule(
    coreModule(
      section(1, vector(functionType([I32], []), functionType([], [I64, I32]))),
      section(2, vector([...text('a'), ...text('b'), 0, 1])),
    ),
  )
  assert.deepEqual(facts.imports[0], {
    module: 'a',
    name: 'b',
    kind: 'function',
    signature: { params: [], results: ['i64', 'i32'] },
  })
})
