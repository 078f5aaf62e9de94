import assert from 'node:assert/strict'
import { test } from 'node:test'

import { afterFailure, NO_BACK_OFF, type BackOff, type FailureKind } from './back-off.ts'

/** Waits after each of these failures, all of them at the same time. */
function waits(...kinds: readonly FailureKind[]): readonly number[] {
  let backOff: BackOff = NO_BACK_OFF
  return kinds.map((kind) => {
    backOff = afterFailure(backOff, kind, 1000)
    return Math.max(0, backOff.untilMs - 1000)
  })
}

test('the first failed start is forgiven, then the wait doubles from a second to a minute', () => {
  const kinds = Array.from({ length: 9 }, () => 'start' as const)
  assert.deepEqual(waits(...kinds), [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
})

test('three crashes in a row are forgiven', () => {
  assert.deepEqual(waits('crash', 'crash', 'crash', 'crash', 'crash'), [0, 0, 0, 1000, 2000])
})

test('a start that fails among crashes counts as late as it is', () => {
  assert.deepEqual(waits('crash', 'crash', 'start'), [0, 0, 2000])
})

test('a failure that is forgiven does not shorten a wait that has begun', () => {
  const [, waiting, after] = waits('start', 'start', 'crash')
  assert.deepEqual([waiting, after], [1000, 1000])
})
