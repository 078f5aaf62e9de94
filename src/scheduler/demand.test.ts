import assert from 'node:assert/strict'
import { test } from 'node:test'

import { instancesWanted, shareInstances } from './demand.ts'

const SCALE = { min: 0, max: 5, concurrency: 10, pauseAfterMs: null, stopAfterMs: null }

interface Case {
  readonly what: string
  readonly load: readonly [inFlight: number, waiting: number, live: number]
  readonly scale?: Partial<typeof SCALE>
  readonly fixed?: number
  readonly wanted: number
}

const CASES: readonly Case[] = [
  { what: 'nothing', load: [0, 0, 0], wanted: 0 },
  { what: 'one that waits', load: [0, 1, 0], wanted: 1 },
  { what: 'as many as one takes', load: [0, 10, 0], wanted: 1 },
  { what: 'one more than one takes', load: [0, 11, 0], wanted: 2 },
  { what: 'one full and one that waits', load: [10, 1, 1], wanted: 2 },
  { what: 'more than max can take', load: [50, 1000, 5], wanted: 5 },
  { what: 'idle ones, which only idleness takes away', load: [0, 0, 3], wanted: 3 },
  { what: 'more than max, after max was lowered', load: [0, 0, 7], wanted: 5 },
  { what: 'a minimum without requests', load: [0, 0, 0], scale: { min: 2 }, wanted: 2 },
  { what: 'a fixed number below what is busy', load: [100, 100, 9], fixed: 2, wanted: 2 },
  { what: 'a fixed number of none', load: [0, 5, 1], fixed: 0, wanted: 0 },
]

for (const { what, load, scale, fixed, wanted } of CASES) {
  test(`instances wanted for ${what}`, () => {
    const [inFlight, waiting, live] = load
    const all = { ...SCALE, ...scale }
    assert.equal(instancesWanted(all, fixed ?? null, { inFlight, waiting, live }), wanted)
  })
}

const SHARES: readonly (readonly [
  instances: number,
  percents: readonly number[],
  shares: readonly number[],
])[] = [
  [0, [100], [0]],
  [3, [100], [3]],
  [0, [90, 10], [0, 0]],
  [3, [90, 10], [2, 1]],
  [4, [50, 50], [2, 2]],
  [5, [50, 50], [3, 2]],
  [10, [75, 25], [8, 2]],
  [10, [90, 10], [9, 1]],
  // Each gets requests, so each has one.
  [1, [99, 1], [1, 1]],
  [2, [99, 1], [1, 1]],
  [100, [99, 1], [99, 1]],
]

for (const [instances, percents, shares] of SHARES) {
  test(`${instances} instances at ${percents.join(' : ')} percent`, () => {
    const traffic = percents.map((percent, index) => ({ revision: index + 1, percent }))
    assert.deepEqual([...shareInstances(instances, traffic).values()], shares)
  })
}
