import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { isWritable, parseValues } from './parse-values.ts'
import { formatValue } from './print-values.ts'
import type { ValueType } from './types.ts'

const STRING: ValueType = { kind: 'primitive', primitive: 'string' }
const S64: ValueType = { kind: 'primitive', primitive: 's64' }
const U8: ValueType = { kind: 'primitive', primitive: 'u8' }
const U32: ValueType = { kind: 'primitive', primitive: 'u32' }
const BOOL: ValueType = { kind: 'primitive', primitive: 'bool' }
const CHAR: ValueType = { kind: 'primitive', primitive: 'char' }
const F64: ValueType = { kind: 'primitive', primitive: 'f64' }
const COLOR: ValueType = { kind: 'enum', names: ['red', 'green'] }
const FLAGS: ValueType = { kind: 'flags', names: ['read', 'write', 'run'] }
const POINT: ValueType = {
  kind: 'record',
  fields: [
    { name: 'x', type: S64 },
    { name: 'name', type: { kind: 'option', type: STRING } },
  ],
}
const SHAPE: ValueType = {
  kind: 'variant',
  cases: [
    { name: 'none', type: null },
    { name: 'at', type: POINT },
  ],
}
const list = (type: ValueType): ValueType => ({ kind: 'list', type })

function parse(type: ValueType, text: string): unknown {
  const [value] = parseValues('f', { params: [{ name: 'a', type }], result: null }, [text])
  return value
}

suite('a value of WIT is read, and printed in the same form', () => {
  const cases: readonly [type: ValueType, text: string, value: unknown, printed?: string][] = [
    [STRING, '{"not": json}', '{"not": json}'],
    [STRING, '', ''],
    [CHAR, '€', '€'],
    [BOOL, 'true', true],
    [U8, '0xff', 255, '255'],
    [S64, '-9223372036854775808', -(2n ** 63n)],
    [F64, '-inf', -Infinity, '-Infinity'],
    [COLOR, 'green', 'green'],
    [list(S64), '[9223372036854775807, "-1"]', [2n ** 63n - 1n, -1n], '[9223372036854775807,-1]'],
    [list(U8), '[1,255]', Uint8Array.from([1, 255])],
    [list(BOOL), '[true,false]', [true, false]],
    [list(list(STRING)), '[["a"],[]]', [['a'], []]],
    [{ kind: 'tuple', types: [U32, STRING] }, '[1,"b"]', [1, 'b']],
    [POINT, '{"x":-5}', { x: -5n, name: undefined }, '{"x":-5,"name":null}'],
    [POINT, '{"x":1,"name":"n"}', { x: 1n, name: 'n' }],
    [{ kind: 'option', type: U32 }, 'null', undefined],
    [{ kind: 'option', type: { kind: 'option', type: U32 } }, '7', [7]],
    [SHAPE, '"none"', { tag: 'none' }],
    [SHAPE, '{"at":{"x":1,"name":null}}', { tag: 'at', val: { x: 1n, name: undefined } }],
    [{ kind: 'result', ok: null, error: STRING }, '{"err":"why"}', { tag: 'err', val: 'why' }],
    [FLAGS, '["read","run"]', 5],
  ]
  for (const [type, text, value, printed = text] of cases) {
    test(`${type.kind} ${text}`, () => {
      assert.deepEqual(parse(type, text), value)
      assert.equal(formatValue(type, value), printed)
    })
  }
})

suite('what is no such value is refused', () => {
  const cases: readonly [type: ValueType, text: string][] = [
    [U8, '256'],
    [U8, '-1'],
    [U8, '1.5'],
    [U32, ''],
    [S64, '9223372036854775808'],
    [BOOL, '1'],
    [CHAR, 'ab'],
    [CHAR, '\ud800'],
    [STRING, '\ud800'],
    [COLOR, 'blue'],
    [list(U32), '1'],
    [list(U32), '[1'],
    [list(U32), '[1, "x"]'],
    [list(STRING), '[1]'],
    [list(BOOL), '["true"]'],
    [{ kind: 'tuple', types: [U32] }, '[1, 2]'],
    [POINT, '{"x": 1, "z": 2}'],
    [POINT, '{}'],
    [POINT, '[]'],
    [SHAPE, '"at"'],
    [SHAPE, '{"none": null, "at": null}'],
    [FLAGS, '["fly"]'],
    [{ kind: 'own', resource: { name: 'r', owner: null, destructor: null } }, '1'],
  ]
  for (const [type, text] of cases) {
    test(`${type.kind} ${JSON.stringify(text)}`, () => {
      assert.throws(() => parse(type, text), { reason: 'CALL_ARGUMENTS' })
    })
  }
})

test('handles of resources cannot be written', () => {
  const own: ValueType = { kind: 'own', resource: { name: 'r', owner: null, destructor: null } }
  const params = [{ name: 'a', type: list(own) }]
  assert.equal(isWritable({ params, result: null }), false)
  assert.equal(isWritable({ params: [], result: { kind: 'option', type: own } }), false)
  assert.equal(isWritable({ params: [{ name: 'a', type: SHAPE }], result: POINT }), true)
})
