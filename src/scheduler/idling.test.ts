import assert from 'node:assert/strict'
import { test } from 'node:test'

import { TestScheduler, type FakeDataPlane } from '../../tests/fixtures/scheduler.ts'
import { monotonicMs } from '../core/clock.ts'

const PAUSING = { min: 0, max: 10, concurrency: 10, pauseAfterMs: 1, stopAfterMs: null }
const STOPPING = { ...PAUSING, pauseAfterMs: null, stopAfterMs: 1 }

/** A task with one instance that has been asked whether it is idle. */
async function openIdle(node: TestScheduler, scale: typeof PAUSING | typeof STOPPING) {
  node.dataPlane.isHoldingDrains = true
  await node.deploy({ scale })
  node.wake('hello')
  const [route] = await node.dataPlane.untilRunning('hello', 1)
  const process = node.host.process(String(route?.id))
  const drain = await node.dataPlane.nextDrain(process.id)
  assert.equal(drain.mode, 'idle')
  return { process, drain, controller: node.scheduler.controller('hello') }
}

async function untilPaused(dataPlane: FakeDataPlane): Promise<void> {
  await dataPlane.until(() => dataPlane.instances('hello').find(({ state }) => state === 'paused'))
}

test('an instance is frozen only after the proxy gave it up, and then listed as paused', async () => {
  await using node = await TestScheduler.open()
  const { process, drain } = await openIdle(node, PAUSING)
  assert.equal(process.isFrozen, false)
  drain.answer('drained')
  await untilPaused(node.dataPlane)
  assert.equal(process.isFrozen, true)
})

test('one that is busy after all stays, and is asked again later', async () => {
  await using node = await TestScheduler.open()
  const { process, drain } = await openIdle(node, PAUSING)
  drain.answer('busy')
  const again = await node.dataPlane.nextDrain(process.id)
  assert.equal(process.isFrozen, false)
  again.answer('drained')
  await untilPaused(node.dataPlane)
})

test('one that served a request since it was last heard of stays, and is asked again later', async () => {
  await using node = await TestScheduler.open()
  const { process, drain, controller } = await openIdle(node, PAUSING)
  const activity = { instance: process.id, inFlight: 0, idleSinceMs: monotonicMs(), requests: 1 }
  controller.observe(activity)
  drain.answer('drained')
  const again = await node.dataPlane.nextDrain(process.id)
  assert.equal(process.isFrozen, false)
  again.answer('drained')
  await untilPaused(node.dataPlane)
})

test('a wake during the question keeps it', async () => {
  await using node = await TestScheduler.open()
  const { process, drain } = await openIdle(node, PAUSING)
  node.wake('hello')
  drain.answer('drained')
  await node.dataPlane.untilRunning('hello', 1)
  await node.dataPlane.nextDrain(process.id)
  assert.equal(process.isFrozen, false)
  assert.deepEqual(
    node.eventTypes().filter((type) => type === 'instancePaused'),
    [],
  )
})

test('a wake while it is being frozen brings it back at once', async () => {
  await using node = await TestScheduler.open()
  const freezing = Promise.withResolvers<void>()
  const thawing = Promise.withResolvers<void>()
  node.host.whilePausing = () => {
    freezing.resolve()
    return thawing.promise
  }
  const { drain } = await openIdle(node, PAUSING)
  drain.answer('drained')
  await freezing.promise
  node.wake('hello')
  thawing.resolve()
  await node.untilEvent('instanceResumed')
  await node.dataPlane.untilRunning('hello', 1)
  assert.equal(node.live('hello').length, 1)
})

test('a wake of a paused instance resumes it and starts none', async () => {
  await using node = await TestScheduler.open()
  const { process, drain } = await openIdle(node, PAUSING)
  drain.answer('drained')
  await untilPaused(node.dataPlane)
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  assert.equal(process.isFrozen, false)
  assert.equal(node.live('hello').length, 1)
})

test('a stop while it is being frozen ends it', async () => {
  await using node = await TestScheduler.open()
  const freezing = Promise.withResolvers<void>()
  const thawing = Promise.withResolvers<void>()
  node.host.whilePausing = () => {
    freezing.resolve()
    return thawing.promise
  }
  const { drain, process } = await openIdle(node, PAUSING)
  drain.answer('drained')
  await freezing.promise
  const stopping = node.scheduler.stop('hello')
  const retiring = await node.dataPlane.nextDrain(process.id)
  assert.equal(retiring.mode, 'retire')
  retiring.answer('drained')
  thawing.resolve()
  await stopping
  assert.equal(process.report?.reason, 'STOPPED')
})

test('stop_after ends it, with the reason', async () => {
  await using node = await TestScheduler.open()
  const { process, drain } = await openIdle(node, STOPPING)
  drain.answer('drained')
  assert.equal((await process.exited.promise).reason, 'IDLE')
  await node.dataPlane.until(() =>
    node.dataPlane.instances('hello').length === 0 ? true : undefined,
  )
})

test('who wants to stop what is being retired waits for its requests no longer than allowed', async () => {
  await using node = await TestScheduler.open()
  const { process, drain, controller } = await openIdle(node, PAUSING)
  drain.answer('busy')
  const retired = controller.replaceAll()
  const retiring = await node.dataPlane.nextDrain(process.id, 'retire')
  await retired
  const stopping = controller.stopAll('STOPPED', 60_000)
  // It is asked once; whoever stops it has not cut what it still answers.
  assert.equal(node.live('hello').includes(process), true)
  retiring.answer('drained')
  for (const { id } of node.live('hello')) {
    if (id !== process.id) (await node.dataPlane.nextDrain(id, 'retire')).answer('drained')
  }
  await stopping
  assert.equal(process.report?.reason, 'REPLACED')
})

test('without a proxy nothing is idle; when it is back, idleness is judged again', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ scale: PAUSING })
  node.dataPlane.isConnected = false
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const [process] = node.live('hello')
  node.dataPlane.isConnected = true
  node.scheduler.controller('hello').dataPlaneConnected()
  await untilPaused(node.dataPlane)
  assert.equal(process?.isFrozen, true)
})

test('an instance with somebody inside is not idle until he has left', async () => {
  await using node = await TestScheduler.open()
  const { process, drain, controller } = await openIdle(node, PAUSING)
  const [managed] = controller.instances
  assert.ok(managed)
  controller.holdAwake(managed)
  drain.answer('busy')
  controller.letIdle(managed)
  const again = await node.dataPlane.nextDrain(process.id)
  again.answer('drained')
  await untilPaused(node.dataPlane)
})

test('a minimum stays awake, and what is more than that does not', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ scale: { ...PAUSING, min: 1 } })
  await node.dataPlane.untilRunning('hello', 1)
  node.scheduler.controller('hello').wake(1, 1, 10)
  await node.untilEvent('instancePaused')
  const awake = node.live('hello').filter(({ isFrozen }) => !isFrozen)
  assert.equal(node.live('hello').length, 2)
  assert.equal(awake.length, 1)
  // The one that is awake ends: the other is resumed in its place.
  awake[0]?.exit(1)
  await node.untilEvent('instanceResumed')
  assert.equal(node.live('hello').length, 1)
})

test('one that speaks on the bridge is not idle until it has been silent', async () => {
  await using node = await TestScheduler.open()
  node.bridge.packets = 7
  await node.deploy({ scale: STOPPING, network: 'bridge' })
  node.wake('hello')
  const [route] = await node.dataPlane.untilRunning('hello', 1)
  await node.host.process(String(route?.id)).exited.promise
  // The first time it had said something since it was started; the second time nothing more.
  assert.ok(node.bridge.asked >= 2, `it was asked ${node.bridge.asked} times`)
})
