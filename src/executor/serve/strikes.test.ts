import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { Strikes, waitMs } from './strikes.ts'

suite('waitMs()', () => {
  for (const [count, ms] of [
    [0, 0],
    [2, 0],
    [3, 1000],
    [4, 2000],
    [6, 8000],
    [7, 10_000],
    [2000, 10_000],
  ] as const) {
    test(`${count} in a row: ${ms} ms`, () => assert.equal(waitMs(count), ms))
  }
})

suite('Strikes', () => {
  test('the third in a row makes requests wait', () => {
    assert.equal(new Strikes(2).delayMs, 0)
    assert.ok(new Strikes(3).delayMs > 0)
  })

  test('an answer lets them go', () => {
    const strikes = new Strikes(3)
    strikes.forget()
    assert.deepEqual([strikes.delayMs, strikes.count], [0, 0])
  })
})
