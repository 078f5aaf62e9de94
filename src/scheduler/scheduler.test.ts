import assert from 'node:assert/strict'
import { test } from 'node:test'

import { TestScheduler } from '../../tests/fixtures/scheduler.ts'

const signal = () => AbortSignal.timeout(20_000)
const SCALE = { min: 0, max: 10, concurrency: 10, pauseAfterMs: null, stopAfterMs: null }
const HELLO = { name: 'hello' }

test('many wakes start one instance, which is published when it is ready', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['sleep'] })
  for (const waiting of [1, 2, 4, 8]) node.wake('hello', 1, waiting)
  const { instance: id } = await node.untilEvent('instanceStarting')
  assert.deepEqual(node.dataPlane.instances('hello'), [])
  node.host.process(String(id)).listen(8000)
  const [route] = await node.dataPlane.untilRunning('hello', 1)
  assert.equal(route?.id, id)
  assert.equal(node.live('hello').length, 1)
})

test('requests that wait while all instances are full start another one, up to max', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ scale: { ...SCALE, max: 3 } })
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const controller = node.scheduler.controller('hello')
  controller.wake(1, 1, 10)
  await node.dataPlane.untilRunning('hello', 2)
  controller.wake(1, 100, 20)
  await node.dataPlane.untilRunning('hello', 3)
  controller.wake(1, 100, 30)
  assert.equal(node.live('hello').length, 3)
})

test('a late wake of those who are served already starts nothing', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  node.wake('hello', 1, 8)
  assert.equal(node.live('hello').length, 1)
  assert.equal(node.eventTypes().filter((type) => type === 'instanceStarting').length, 1)
})

test('a failed start is told to those who wait, with its reason and when to try again', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['exit', '3'] })
  node.wake('hello')
  const first = await node.dataPlane.until(() => node.dataPlane.failures[0])
  assert.deepEqual([first.error.reason, first.retryAfterS], ['EXITED_EARLY', 1])
  // The first is forgiven, the second is not.
  node.wake('hello')
  await node.dataPlane.until(() => node.dataPlane.failures[1])
  node.wake('hello')
  const third = await node.dataPlane.until(() => node.dataPlane.failures[2])
  assert.equal(third.error.reason, 'EXITED_EARLY')
  assert.equal(node.eventTypes().filter((type) => type === 'instanceStarting').length, 2)
})

test('the request after a crash starts a new instance, as the broken one was told', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  for (let round = 0; round < 3; round++) {
    node.wake('hello')
    await node.dataPlane.untilRunning('hello', 1)
    node.live('hello')[0]?.exit(1)
    const told = await node.dataPlane.until(() => node.dataPlane.exits[round])
    assert.match(told.error.hint ?? '', /the next request starts a new instance/)
  }
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  node.live('hello')[0]?.exit(1)
  const told = await node.dataPlane.until(() => node.dataPlane.exits[3])
  assert.match(told.error.hint ?? '', /again and again: the next try is in 1 s/)
  node.wake('hello')
  assert.equal(node.dataPlane.failures.at(-1)?.error.reason, 'EXITED')
})

test('an instance that ends as soon as it is ready counts as a failed start', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ http: null, args: ['exit', '0'] })
  node.wake('hello')
  const { error } = await node.dataPlane.until(() => node.dataPlane.failures[0])
  assert.equal(error.reason, 'EXITED_EARLY')
})

test('stop ends an instance that is being prepared, and one that is starting, without a failure', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['sleep'] })
  const held = Promise.withResolvers<void>()
  const preparing = Promise.withResolvers<void>()
  node.host.whilePreparing = () => {
    preparing.resolve()
    return held.promise
  }
  node.wake('hello')
  await preparing.promise
  const stopping = node.scheduler.stop('hello')
  held.resolve()
  await stopping
  assert.deepEqual(node.live('hello'), [])

  node.host.whilePreparing = async () => {}
  const starting = node.scheduler.start('hello', signal())
  await node.untilEvent('instanceStarting')
  const controller = node.scheduler.controller('hello')
  await controller.stopAll('STOPPED', 0)
  await assert.rejects(starting, { reason: 'START_CANCELED' })
  assert.deepEqual(node.live('hello'), [])
  assert.deepEqual(controller.failures, [])
})

test('remove cleans up what was being prepared, and forgets the task', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  const preparing = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  node.host.whilePreparing = () => {
    preparing.resolve()
    return held.promise
  }
  node.wake('hello')
  await preparing.promise
  const removing = node.scheduler.remove('hello')
  held.resolve()
  await removing
  assert.equal(node.host.processes.size, 0)
  assert.equal(node.scheduler.findController('hello'), undefined)
  assert.equal(node.dataPlane.routes.has('hello'), false)
  assert.equal(node.dataPlane.grants.size, 0)
})

test('a deploy keeps the old revision until the new one is ready', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const [old] = node.live('hello')
  const deploying = node.deploy({ args: ['sleep'] })
  const started = await node.untilEvent('instanceStarting', 1)
  assert.equal(node.dataPlane.instances('hello')[0]?.id, old?.id)
  node.host.process(String(started.instance)).listen(8000)
  assert.equal(await deploying, 2)
  await old?.exited.promise
  assert.deepEqual(
    node.dataPlane.instances('hello').map(({ id }) => id),
    [started.instance],
  )
})

test('a deploy whose revision does not start changes nothing', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  await assert.rejects(node.deploy({ args: ['exit', '1'] }), { reason: 'EXITED_EARLY' })
  const task = node.scheduler.registry.require('hello')
  assert.deepEqual(task.traffic, [{ revision: 1, percent: 100 }])
  assert.equal(task.candidate, null)
  assert.deepEqual([...node.scheduler.registry.revisions('hello').keys()], [1])
  assert.equal(node.live('hello').length, 1)
})

test('a revision whose deployment was cut short is dropped at the next start', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const deploying = node.deploy({ args: ['sleep'] })
  // It fails when the first scheduler's store connection ends; nobody waits for it.
  deploying.catch(() => {})
  await node.untilEvent('instanceStarting', 1)
  await node.restart()
  const task = node.scheduler.registry.require('hello')
  assert.deepEqual([task.candidate, task.revisionLast], [null, 2])
  assert.deepEqual([...node.scheduler.registry.revisions('hello').keys()], [1])
  await node.dataPlane.until(() => (node.live('hello').length === 1 ? true : undefined))
  assert.equal(node.live('hello')[0]?.plan.revision, 1)
})

test('rollback goes back, and refuses routes that belong to another task by now', async () => {
  await using node = await TestScheduler.open()
  const http = { port: 8000, routes: ['old.example.com'], sticky: 'none' } as const
  await node.deploy({ http })
  await node.deploy()
  await node.scheduler.rollback('hello', null)
  assert.deepEqual(node.dataPlane.routes.get('hello')?.routes, ['old.example.com'])
  await node.scheduler.rollback('hello', null)
  await node.deploy({ name: 'other', http })
  await assert.rejects(node.scheduler.rollback('hello', 1), { reason: 'ROUTE_TAKEN' })
})

test('of two deployments at once with the same route, one is refused', async () => {
  await using node = await TestScheduler.open()
  const http = { port: 8000, routes: ['same.example.com'], sticky: 'none' } as const
  const names = ['a', 'b']
  const outcomes = await Promise.allSettled(names.map((name) => node.deploy({ name, http })))
  // Which of them is not agreed on.
  const deployed = names.filter((_, index) => outcomes[index]?.status === 'fulfilled')
  assert.equal(deployed.length, 1)
  assert.deepEqual(
    node.scheduler.registry.list().map(({ name }) => name),
    deployed,
  )
})

test('scale counts over all revisions that share the traffic', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  await node.deploy({ env: { A: 'b' } }, { trafficPercent: 10 })
  await node.scheduler.scale('hello', 3, signal())
  assert.deepEqual(
    node
      .live('hello')
      .map(({ plan }) => plan.revision)
      .toSorted((a, b) => a - b),
    [1, 1, 2],
  )
  await node.scheduler.scale('hello', 0, signal())
  assert.deepEqual(node.live('hello'), [])
})

test('scale starts a task that was stopped, and start one that was scaled to nothing', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  await node.scheduler.stop('hello')
  await node.scheduler.scale('hello', 2, signal())
  assert.equal(node.live('hello').length, 2)
  await node.scheduler.scale('hello', 0, signal())
  node.wake('hello')
  assert.equal(node.dataPlane.failures.at(-1)?.error.reason, 'NOT_RUNNING')
  await node.scheduler.start('hello', signal())
  assert.equal(node.live('hello').length, 1)
})

test('scale says why there are not as many, however often it failed before', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['exit', '3'] })
  for (let round = 0; round < 12; round++) {
    await assert.rejects(node.scheduler.scale('hello', 1, signal()), { reason: 'EXITED_EARLY' })
  }
})

test('restart replaces each instance, and neither is one too many', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  await node.scheduler.scale('hello', 2, signal())
  const before = node.live('hello')
  const busy = { inFlight: 5, idleSinceMs: 0, requests: 5 }
  const controller = node.scheduler.controller('hello')
  for (const { id } of before) controller.observe({ instance: id, ...busy })
  await node.scheduler.restart('hello')
  for (const { exited } of before) assert.equal((await exited.promise).reason, 'REPLACED')
  assert.equal(node.live('hello').length, 2)
  assert.ok(node.eventTypes().filter((type) => type === 'instanceStarting').length === 4)
})

test('the end of the node ends everything and begins nothing', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  await node.deploy({ name: 'sleeping' })
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const ending = node.scheduler.stopEverything()
  node.wake('hello')
  node.wake('sleeping')
  await assert.rejects(node.scheduler.start('sleeping', signal()), { reason: 'NODE_ENDING' })
  await ending
  assert.deepEqual([...node.live('hello'), ...node.live('sleeping')], [])
})

test('all instances are adopted before any is missed', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ scale: { ...SCALE, min: 3 } })
  await node.dataPlane.untilRunning('hello', 3)
  const before = node.live('hello').map(({ id }) => id)
  await node.restart()
  await node.dataPlane.untilRunning('hello', 3)
  assert.deepEqual(
    node.live('hello').map(({ id }) => id),
    before,
  )
  assert.equal(node.dataPlane.grants.size, 3)
})

test('an instance that was found while it starts is served when it is ready', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['sleep'] })
  node.wake('hello')
  const { instance } = await node.untilEvent('instanceStarting')
  await node.restart()
  node.host.process(String(instance)).listen(8000)
  const [route] = await node.dataPlane.untilRunning('hello', 1)
  assert.equal(route?.id, instance)
})

test('a full node refuses, and starts what it refused when there is a place', async () => {
  await using node = await TestScheduler.open()
  node.instancesMax = 1
  await node.restart()
  await node.deploy()
  await node.deploy({ name: 'other', scale: { ...SCALE, min: 1 } })
  await node.dataPlane.untilRunning('other', 1)
  node.wake('hello')
  const { error } = await node.dataPlane.until(() => node.dataPlane.failures[0])
  assert.equal(error.reason, 'INSTANCES_EXHAUSTED')
  assert.equal(node.scheduler.controller('hello').isFailing, false)
  // Whose request was refused asks again; a minimum is kept without being asked.
  node.live('other')[0]?.exit(1)
  await node.dataPlane.untilRunning('other', 1)
})

test('the minimum is kept after a crash', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ ...HELLO, scale: { ...SCALE, min: 1 } })
  await node.dataPlane.untilRunning('hello', 1)
  const [first] = node.live('hello')
  first?.exit(1)
  await node.untilEvent('instanceReady', 1)
  assert.equal(node.live('hello').length, 1)
})
