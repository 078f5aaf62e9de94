import assert from 'node:assert/strict'
import { test } from 'node:test'

import { serving, TestScheduler } from '../../tests/fixtures/scheduler.ts'

import { buildTaskRoute } from './routes.ts'

test('a task that sleeps is routed with what a wake needs, and without instances', async () => {
  await using node = await TestScheduler.open()
  const ports = [
    { port: 6379, publish: { address: '127.0.0.1', port: 0 } },
    { port: 7000, publish: null },
  ]
  await node.deploy({ ports })
  const { limits } = serving()
  assert.deepEqual(node.dataPlane.routes.get('hello'), {
    task: 'hello',
    routes: ['hello.localhost'],
    sticky: 'none',
    publish: [{ address: '127.0.0.1', hostPort: 0, port: 6379 }],
    refusal: null,
    revisions: [
      {
        revision: 1,
        percent: 100,
        httpPort: 8000,
        concurrency: 10,
        requestTimeoutMs: limits.requestTimeoutMs,
        startTimeoutMs: limits.startTimeoutMs,
        queueLength: limits.queueLength,
        bodyBytes: null,
        instances: [],
      },
    ],
  })
})

test('a task that a person stopped is refused, and says who can start it', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  await node.scheduler.stop('hello')
  const { refusal } = node.dataPlane.routes.get('hello') ?? {}
  assert.equal(refusal?.reason, 'TASK_STOPPED')
  assert.match(refusal?.hint ?? '', /quiver start hello/)
})

test('routes are those of the current revision, also while another one has a share', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  const http = { port: 9000, routes: ['new.localhost'], sticky: 'none' } as const
  await node.deploy({ http, args: ['serve', '9000'] }, { trafficPercent: 10 })
  const route = node.dataPlane.routes.get('hello')
  assert.deepEqual(route?.routes, ['hello.localhost'])
  assert.deepEqual(
    route?.revisions.map(({ revision, percent, httpPort }) => [revision, percent, httpPort]),
    [
      [1, 90, 8000],
      [2, 10, 9000],
    ],
  )
})

test('a share of a revision that is not kept is left out', async () => {
  await using node = await TestScheduler.open()
  await node.deploy()
  const task = node.scheduler.registry.require('hello')
  const route = buildTaskRoute(task, new Map(), [])
  assert.deepEqual([route.routes, route.revisions], [[], []])
})
