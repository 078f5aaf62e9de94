import assert from 'node:assert/strict'
import { test } from 'node:test'

import { spec } from '../../../tests/fixtures/samples.ts'
import { TestScheduler } from '../../../tests/fixtures/scheduler.ts'

import { taskState, urlsOf, viewInstance, viewPublish } from './views.ts'

function http(...routes: readonly string[]) {
  return { ...spec, http: { port: 8000, routes, sticky: 'none' } as const }
}

test('URLs are those that a browser can open', () => {
  const routes = ['hello.localhost', 'GET example.com/api/:id', '*.example.com', 'hello.localhost']
  assert.deepEqual(urlsOf(http(...routes), 8080), [
    'http://hello.localhost:8080/',
    'http://example.com:8080/api/:id',
  ])
  assert.deepEqual(urlsOf(http('hello.localhost'), 80), ['http://hello.localhost/'])
  assert.deepEqual(urlsOf({ ...spec, http: null }, 80), [])
})

test('published ports are listed with what kept them from being bound', () => {
  const ports = [
    { port: 6379, publish: { address: '::', port: 1 } },
    { port: 7000, publish: null },
  ]
  assert.deepEqual(
    viewPublish({ ...spec, ports }, (address, port) => `${address} ${port}`),
    [{ address: '::', hostPort: 1, port: 6379, error: ':: 1' }],
  )
})

test('the state of a task follows its instances, and says when it fails', async () => {
  await using node = await TestScheduler.open()
  await node.deploy({ args: ['sleep'] })
  const state = () => {
    const { scheduler } = node
    return taskState(scheduler.registry.require('hello'), scheduler.findController('hello'))
  }
  assert.equal(state(), 'idle')
  node.wake('hello')
  const { instance: id } = await node.untilEvent('instanceStarting')
  assert.equal(state(), 'starting')
  node.host.process(String(id)).listen(8000)
  await node.dataPlane.untilRunning('hello', 1)
  assert.equal(state(), 'running')
  node.host.process(String(id)).exit(1)
  await node.dataPlane.until(() => node.dataPlane.exits[0])
  assert.equal(state(), 'failing')
  await node.scheduler.stop('hello')
  assert.equal(state(), 'stopped')
})

test('a first request that found the instance ready is no part of its start', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  await node.dataPlane.untilRunning('hello', 1)
  const controller = node.scheduler.controller('hello')
  const [managed] = controller.instances
  assert.ok(managed)
  controller.firstByte(managed.id, 0, Number(process.hrtime.bigint()))
  const names = viewInstance(managed, null).phases.map(({ name }) => name)
  assert.equal(names.includes('firstByte'), false)
})

test('an instance shows the phases of its start without gaps, and how it ended', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  node.wake('hello')
  const [route] = await node.dataPlane.untilRunning('hello', 1)
  const controller = node.scheduler.controller('hello')
  const [managed] = controller.instances
  assert.ok(managed)
  controller.firstByte(managed.id, 7, Number(process.hrtime.bigint()))
  const [queue, ...bars] = viewInstance(managed, null).phases
  assert.deepEqual(queue, { name: 'queue', startMs: 0, durationMs: 7 })
  assert.deepEqual(
    bars.map(({ name }) => name).filter((name) => name !== 'ready'),
    ['materialise', 'sandbox', 'exec', 'listen', 'firstByte'],
  )
  for (const { durationMs } of bars) assert.ok(durationMs >= 0)
  node.host.process(String(route?.id)).exit(3)
  await node.untilEvent('instanceExited')
  const { state, exit, exitText } = viewInstance(managed, null)
  assert.deepEqual([state, exit?.status], ['failed', 3])
  assert.match(exitText ?? '', /error status \(3\)/)
})
