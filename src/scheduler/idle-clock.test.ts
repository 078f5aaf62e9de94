/** What is due when an instance has been idle for a while. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { dueAction } from './idle-clock.ts'

const CASES = [
  ['nothing before the first time', { pauseMs: 100, stopMs: 500 }, 99.9, undefined],
  ['the pause at its time', { pauseMs: 100, stopMs: 500 }, 100, 'pause'],
  ['the end at its time', { pauseMs: 100, stopMs: 500 }, 500, 'stop'],
  ['the end alone when both are due', { pauseMs: 500, stopMs: 500 }, 501, 'stop'],
  [
    'no pause where there is none, however near the end',
    { pauseMs: null, stopMs: 50 },
    49.2,
    undefined,
  ],
  ['no end where there is none', { pauseMs: 100, stopMs: null }, 1e9, 'pause'],
  ['nothing ever', { pauseMs: null, stopMs: null }, 1e9, undefined],
] as const

for (const [name, times, idleMs, expected] of CASES) {
  test(`due is ${name}`, () => {
    assert.equal(dueAction(times, idleMs), expected)
  })
}
