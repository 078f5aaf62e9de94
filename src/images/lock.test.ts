import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SharedLock } from './lock.ts'

test('many share it, one has it alone, and nobody overtakes', async () => {
  const lock = new SharedLock()
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const work = [
    lock.shared(async () => {
      order.push('shared 1')
      await gate.promise
    }),
    lock.shared(async () => {
      order.push('shared 2')
      await gate.promise
    }),
    lock.alone(async () => {
      order.push('alone begins')
      await Promise.resolve()
      order.push('alone ends')
    }),
    lock.shared(async () => {
      order.push('shared 3')
    }),
  ]
  assert.deepEqual(order, ['shared 1', 'shared 2'])
  gate.resolve()
  await Promise.all(work)
  assert.deepEqual(order, ['shared 1', 'shared 2', 'alone begins', 'alone ends', 'shared 3'])
})

test('a failure gives the lock back', async () => {
  const lock = new SharedLock()
  await assert.rejects(
    lock.alone(() => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.equal(await lock.shared(async () => 'yes'), 'yes')
})
