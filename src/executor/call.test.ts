import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  assertPrintable,
  callTarget,
  formatResult,
  parseArguments,
  parseCallAnswer,
  parseCallBody,
  parseNumber,
} from './call.ts'
import type { FunctionType, ValueType } from './facts.ts'

const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

function typeOf(params: readonly ValueType[], results: readonly ValueType[] = []): FunctionType {
  return { params, results }
}

suite('an argument', () => {
  const good: readonly [type: ValueType, text: string, value: number | bigint][] = [
    ['i32', '42', 42],
    ['i32', '-2147483648', -2_147_483_648],
    ['i32', '4294967295', -1],
    ['i32', '0xFF', 255],
    ['i64', '9223372036854775807', 9_223_372_036_854_775_807n],
    ['i64', '0xffffffffffffffff', -1n],
    ['f32', '1.5', 1.5],
    ['f64', '-.5e3', -500],
    ['f64', 'inf', Infinity],
    ['f64', '-Infinity', -Infinity],
    ['f64', 'nan', Number.NaN],
    ['f64', '-0', -0],
  ]
  for (const [type, text, value] of good) {
    test(`${text} is an ${type}`, () => {
      assert.deepEqual(parseArguments('f', typeOf([type]), [text]), [value])
    })
  }

  const bad: readonly [type: ValueType, text: string][] = [
    ['i32', ''],
    ['i32', '1.5'],
    ['i32', '4294967296'],
    ['i32', '-2147483649'],
    ['i32', '1 '],
    ['i32', '1e3'],
    ['i64', '18446744073709551616'],
    ['i64', '9'.repeat(1000)],
    ['f64', '1,5'],
    ['f64', '0x10'],
    ['f64', '1'.repeat(1000)],
    ['externref', '1'],
  ]
  for (const [type, text] of bad) {
    test(`${text.slice(0, 30) || 'nothing'} is no ${type}, and the message has the signature`, () => {
      assert.throws(() => parseArguments('f', typeOf([type], ['i32']), [text]), {
        reason: 'CALL_ARGUMENTS',
        message: new RegExp(`f\\(${type}\\) -> i32`),
      })
    })
  }

  test('must be there for each parameter', () => {
    assert.throws(() => parseArguments('f', typeOf(['i32', 'i64']), ['1']), {
      message: 'f(i32, i64) -> () takes 2 arguments, and 1 were given',
    })
  })
})

suite('a result', () => {
  test('is written so that it is read as the same number', () => {
    const values = [
      ['i32', -7],
      ['i64', -(2n ** 63n)],
      ['f64', 0.1],
      ['f64', -0],
      ['f64', Number.NaN],
      ['f64', -Infinity],
      ['f64', 1e300],
    ] as const
    for (const [type, value] of values) {
      assert.ok(Object.is(parseNumber(type, formatResult(value)), value), String(value))
    }
  })

  test('of nothing is null', () => {
    assert.equal(formatResult(undefined), null)
    assert.equal(parseNumber('i32', null), undefined)
  })

  test('that is no number, or several, cannot be asked for', () => {
    for (const results of [['externref'], ['i32', 'i32'], ['v128']]) {
      assert.throws(() => assertPrintable('f', typeOf([], results)), { reason: 'CALL_ARGUMENTS' })
    }
  })
})

suite('the message of a call', () => {
  const malformed: readonly unknown[] = [
    null,
    [],
    {},
    { args: '1' },
    { args: [1] },
    { args: [], input: 1 },
    { args: [], buffers: { 1: 2 } },
    { args: [], inputHeaders: [null] },
  ]
  for (const value of malformed) {
    test(`is not ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseCallBody(bytesOf(value)), { reason: 'CALL_MALFORMED' })
    })
  }

  test('is not what is no JSON', () => {
    assert.throws(() => parseCallBody(Buffer.from('{')), { reason: 'CALL_MALFORMED' })
  })

  test('has a path that any export can have', () => {
    assert.equal(callTarget('a/b c'), '/.well-known/quiver/call/a%2Fb%20c')
  })
})

suite('the answer to a call', () => {
  test('of a program may have a number where a module has a text', () => {
    assert.deepEqual(parseCallAnswer(bytesOf({ value: 42 })), { value: '42' })
    assert.deepEqual(parseCallAnswer(bytesOf({})), { value: null })
  })

  const invalid: readonly unknown[] = [
    { value: {} },
    { value: true },
    { output: { status: '200' } },
    { output: { headers: [1] } },
    { output: { body: 1 } },
  ]
  for (const value of invalid) {
    test(`is not ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseCallAnswer(bytesOf(value)), { reason: 'CALL_ANSWER_INVALID' })
    })
  }

  test('that is no object says so as an answer', () => {
    for (const text of ['', '[]', '"x"', '<html>']) {
      assert.throws(() => parseCallAnswer(Buffer.from(text)), { reason: 'CALL_ANSWER_INVALID' })
    }
  })
})
