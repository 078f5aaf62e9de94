import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { Deadlines, type Expiring } from './clock.ts'

class Entry implements Expiring {
  deadlineIndex = -1
  ticks = 0
  readonly #onTick: () => void

  constructor(onTick: () => void = () => {}) {
    this.#onTick = onTick
  }

  onTick(): void {
    this.ticks += 1
    this.#onTick()
  }
}

describe('Deadlines', () => {
  test('asks each entry once a tick, whichever come and go meanwhile', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const deadlines = new Deadlines()
    const late = new Entry()
    const first = new Entry(() => deadlines.add(late))
    const leaving = new Entry(() => {
      deadlines.delete(leaving)
      deadlines.delete(first)
    })
    const last = new Entry()
    for (const entry of [first, last, leaving]) deadlines.add(entry)

    t.mock.timers.tick(100)

    assert.deepEqual([leaving.ticks, last.ticks, first.ticks, late.ticks], [1, 1, 0, 0])
    assert.equal(deadlines.size, 1)
    deadlines.stop()
  })

  test('knows an entry once, and one that is not there not at all', () => {
    const deadlines = new Deadlines()
    const [one, two] = [new Entry(), new Entry()]
    deadlines.add(one)
    deadlines.add(one)
    deadlines.delete(two)
    assert.equal(deadlines.size, 1)
    deadlines.delete(one)
    deadlines.delete(one)
    assert.equal(deadlines.size, 0)
    deadlines.add(one)
    assert.equal(deadlines.size, 1)
    deadlines.stop()
    assert.equal(one.deadlineIndex, -1)
  })

  test('stops its timer when nothing is left', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const deadlines = new Deadlines()
    const entry = new Entry()
    deadlines.add(entry)
    deadlines.delete(entry)
    t.mock.timers.tick(100)
    deadlines.add(entry)
    t.mock.timers.tick(100)
    assert.equal(entry.ticks, 1)
    deadlines.stop()
  })
})
