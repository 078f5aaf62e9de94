import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'

import type { InstanceRoute, RevisionRoute } from '../../src/core/link.ts'

import { ask, buildTask, openBench, type Bench } from './harness.ts'

const hello: RequestListener = (_request, response) => response.end('hello')

/** An instance that answers with its own id. */
function serveName(bench: Bench, id: string): Promise<InstanceRoute> {
  return bench.serve(id, (_request, response) => response.end(id))
}

/** Answers each wake of `hello` by publishing the instance. */
function startOnWake(bench: Bench, instance: InstanceRoute, limits: Partial<RevisionRoute> = {}) {
  bench.control.onMessage = ({ type }) => {
    if (type !== 'wake') return
    void bench.control.publish(buildTask({ revisions: [{ ...limits, instances: [instance] }] }))
  }
}

/** An instance that answers when it is told to. */
function holdRequests() {
  const held: ServerResponse[] = []
  const waiters: (() => void)[] = []
  return {
    held,
    handler: ((_request, response) => {
      held.push(response)
      for (const wake of waiters.splice(0)) wake()
    }) satisfies RequestListener,
    async until(count: number): Promise<void> {
      while (held.length < count) {
        const more = Promise.withResolvers<void>()
        waiters.push(more.resolve)
        await more.promise
      }
    },
  }
}

test('500 first requests ask control once, and all are answered', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', hello)
  await bench.control.publish(buildTask())
  const asked = Array.from({ length: 500 }, () => ask(bench, '/'))
  await bench.control.seen('wake', ({ waiting }) => waiting >= 256)
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  const answers = await Promise.all(asked)
  assert.ok(answers.every(({ status, text }) => status === 200 && text === 'hello'))
  const wakes = bench.control.of('wake').map(({ waiting }) => waiting)
  assert.equal(wakes[0], 1)
  // Once, and again only when those who wait have doubled.
  assert.ok(wakes.length <= 10, String(wakes))
  assert.ok(answers.some(({ headers }) => /desc=cold/.test(headers.get('server-timing') ?? '')))
  const first = await bench.control.seen('firstByte')
  assert.equal(bench.control.of('firstByte').length, 1)
  assert.ok(first.queueMs > 0)
})

test('a paused instance is woken, and its answer says so', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', hello)
  const paused = { ...instance, state: 'paused' as const }
  await bench.control.publish(buildTask({ revisions: [{ instances: [paused] }] }))
  startOnWake(bench, instance)
  const answer = await ask(bench, '/')
  assert.match(answer.headers.get('server-timing') ?? '', /^quiver;desc=resumed;dur=\d/)
  assert.match((await ask(bench, '/')).headers.get('server-timing') ?? '', /desc=warm/)
})

test('a wake that failed answers everything that waits, as control says', async () => {
  await using bench = await openBench()
  await bench.control.publish(buildTask())
  const asked = [ask(bench, '/'), ask(bench, '/')]
  await bench.control.seen('wake', ({ waiting }) => waiting === 2)
  const message = 'the process exited with status 1'
  const error = { code: 'failed_precondition', reason: 'EXITED', message } as const
  bench.control.send({ type: 'wakeFailed', task: 'hello', revision: 1, error, retryAfterS: 7 })
  for (const answer of await Promise.all(asked)) {
    assert.equal(answer.status, 502)
    assert.equal(answer.headers.get('retry-after'), '7')
    assert.equal(JSON.parse(answer.text).reason, 'EXITED')
  }
})

test('the queue is bounded in length and in time', async () => {
  await using bench = await openBench()
  await bench.control.publish(buildTask({ revisions: [{ queueLength: 2, startTimeoutMs: 1 }] }))
  const waiting = [ask(bench, '/'), ask(bench, '/')]
  await bench.control.seen('wake', (message) => message.waiting === 2)
  const surplus = await ask(bench, '/')
  assert.equal(surplus.status, 503)
  assert.equal(JSON.parse(surplus.text).reason, 'QUEUE_FULL')
  assert.equal(surplus.headers.get('retry-after'), '1')
  for (const late of await Promise.all(waiting)) {
    assert.equal(late.status, 504)
    assert.equal(JSON.parse(late.text).reason, 'START_TIMEOUT')
  }
})

test('a task that is refused answers so and wakes nothing', async () => {
  await using bench = await openBench()
  const message = 'hello was stopped'
  const refusal = { code: 'unavailable', reason: 'TASK_STOPPED', message, retryAfterS: 30 } as const
  await bench.control.publish(buildTask({ refusal }))
  const answer = await ask(bench, '/')
  assert.equal(answer.status, 503)
  assert.equal(answer.headers.get('retry-after'), '30')
  assert.deepEqual(bench.control.of('wake'), [])
})

test('a client that leaves the queue makes room at once', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', hello)
  await bench.control.publish(buildTask({ revisions: [{ queueLength: 1 }] }))
  const socket = bench.connect()
  socket.write('GET / HTTP/1.1\r\nHost: hello.localhost\r\n\r\n')
  await bench.control.seen('wake')
  socket.destroy()
  let answer = await ask(bench, '/.well-known/quiver/health')
  while (JSON.parse(answer.text).waiting > 0)
    answer = await ask(bench, '/.well-known/quiver/health')
  startOnWake(bench, instance, { queueLength: 1 })
  assert.equal((await ask(bench, '/')).status, 200)
})

test('an instance takes as many requests as its concurrency; the next wait, first come first served', async () => {
  await using bench = await openBench()
  const slow = holdRequests()
  const instance = await bench.serve('i1', slow.handler)
  await bench.control.publish(buildTask({ revisions: [{ concurrency: 2, instances: [instance] }] }))
  const order: number[] = []
  const asked = [1, 2].map((id) => ask(bench, `/${id}`).then(() => order.push(id)))
  await slow.until(2)
  asked.push(ask(bench, '/3').then(() => order.push(3)))
  await bench.control.seen('wake', ({ waiting }) => waiting === 1)
  asked.push(ask(bench, '/4').then(() => order.push(4)))
  await bench.control.seen('wake', ({ waiting }) => waiting === 2)
  assert.equal(slow.held.length, 2)
  for (let index = 0; index < 4; index++) {
    await slow.until(index + 1)
    slow.held[index]?.end()
    await asked[slow.held[index]?.req.url === '/1' ? 0 : index]
  }
  await Promise.all(asked)
  assert.ok(order.indexOf(3) < order.indexOf(4), String(order))
})

test('of two instances the one with fewer requests is taken', async () => {
  await using bench = await openBench()
  const [one, two] = [holdRequests(), holdRequests()]
  const instances = [await bench.serve('i1', one.handler), await bench.serve('i2', two.handler)]
  await bench.control.publish(buildTask({ revisions: [{ instances }] }))
  const asked = Array.from({ length: 4 }, () => ask(bench, '/'))
  await Promise.all([one.until(2), two.until(2)])
  for (const response of [...one.held, ...two.held]) response.end()
  await Promise.all(asked)
})

test('drain: an idle instance is given up at once, a busy one is not, and a retiring one when it is done', async () => {
  await using bench = await openBench()
  const slow = holdRequests()
  const instance = await bench.serve('i1', slow.handler)
  const task = buildTask({ revisions: [{ instances: [instance] }] })
  await bench.control.publish(task)
  const asked = ask(bench, '/')
  await slow.until(1)
  bench.control.send({ type: 'drain', instance: 'i1', mode: 'idle' })
  await bench.control.seen('busy')
  bench.control.send({ type: 'drain', instance: 'i1', mode: 'retire' })
  await bench.control.settled()
  assert.equal(
    bench.control.of('drained').some((message) => message.instance === 'i1'),
    false,
  )
  slow.held[0]?.end('done')
  assert.equal((await asked).text, 'done')
  await bench.control.seen('drained', (message) => message.instance === 'i1')
  // Nothing goes there now: the next request asks for an instance, and control may give it back.
  const next = ask(bench, '/')
  await bench.control.seen('wake')
  await bench.control.publish(task)
  await slow.until(2)
  slow.held[1]?.end('again')
  assert.equal((await next).text, 'again')
})

test('a drained instance has no connection open', async () => {
  await using bench = await openBench()
  const closed = Promise.withResolvers<void>()
  const instance = await bench.serve('i1', (request, response) => {
    request.socket.once('close', () => closed.resolve())
    response.end()
  })
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  await ask(bench, '/')
  bench.control.send({ type: 'drain', instance: 'i1', mode: 'idle' })
  await closed.promise
})

test('requests that wait for a revision that is replaced go to its successor', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i2', hello)
  await bench.control.publish(buildTask())
  const asked = ask(bench, '/')
  await bench.control.seen('wake')
  await bench.control.publish(buildTask({ revisions: [{ revision: 2, instances: [instance] }] }))
  assert.equal((await asked).text, 'hello')
})

test('requests in flight on a revision that is replaced end as they would have', async () => {
  await using bench = await openBench()
  const slow = holdRequests()
  const old = await bench.serve('i1', slow.handler)
  const fresh = await bench.serve('i2', hello)
  await bench.control.publish(buildTask({ revisions: [{ instances: [old] }] }))
  const asked = ask(bench, '/')
  await slow.until(1)
  await bench.control.publish(buildTask({ revisions: [{ revision: 2, instances: [fresh] }] }))
  assert.equal((await ask(bench, '/')).text, 'hello')
  slow.held[0]?.end('old')
  assert.equal((await asked).text, 'old')
})

test('traffic is split by percent', async () => {
  let point = 0
  await using bench = await openBench({ random: () => point })
  const one = await bench.serve('i1', (_request, response) => response.end('one'))
  const two = await bench.serve('i2', (_request, response) => response.end('two'))
  await bench.control.publish(
    buildTask({
      revisions: [
        { revision: 1, percent: 90, instances: [one] },
        { revision: 2, percent: 10, instances: [two] },
      ],
    }),
  )
  for (const [next, expected] of [
    [0, 'one'],
    [0.89, 'one'],
    [0.91, 'two'],
    [0.99, 'two'],
  ] as const) {
    point = next
    assert.equal((await ask(bench, '/')).text, expected)
  }
})

test('a sticky cookie keeps instance and revision, and is given only where asked', async () => {
  let point = 0
  await using bench = await openBench({ random: () => point })
  const revisions = await Promise.all(
    [1, 2].map(async (revision) => {
      const ids = [`${revision}a`, `${revision}b`]
      return {
        revision,
        percent: 50,
        instances: await Promise.all(ids.map((id) => serveName(bench, id))),
      }
    }),
  )
  await bench.control.publish(buildTask({ sticky: 'cookie', revisions }))
  point = 0.9
  const first = await ask(bench, '/')
  const cookie = first.headers.get('set-cookie') ?? ''
  assert.match(cookie, /^quiver_instance=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax$/)
  const headers = `Cookie: a=b; ${cookie.split(';')[0]}\r\n`
  point = 0.1
  for (let round = 0; round < 5; round++) {
    const again = await ask(bench, '/', { headers })
    assert.equal(again.text, first.text)
    assert.equal(again.headers.has('set-cookie'), false)
  }
  await bench.control.publish(buildTask({ revisions }))
  assert.equal((await ask(bench, '/')).headers.has('set-cookie'), false)
})

test('with sticky = client an address keeps its instance', async () => {
  await using bench = await openBench()
  const instances = await Promise.all(['a', 'b', 'c'].map((id) => serveName(bench, id)))
  await bench.control.publish(buildTask({ sticky: 'client', revisions: [{ instances }] }))
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(bench, '/')))
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
})

test('an instance that cannot be reached is reported, and the request goes to another', async () => {
  await using bench = await openBench()
  const dead: InstanceRoute = {
    ...(await bench.serve('i2', hello)),
    id: 'i1',
    endpoint: { kind: 'socket', path: '/nowhere/there.sock' },
  }
  const alive = await bench.serve('i3', hello)
  await bench.control.publish(buildTask({ revisions: [{ instances: [dead, alive] }] }))
  assert.equal((await ask(bench, '/', { method: 'POST', body: 'x' })).text, 'hello')
  assert.equal((await bench.control.seen('suspect')).instance, 'i1')
})

test('while control is away warm requests flow; cold ones wait, and are asked for again', async () => {
  await using bench = await openBench()
  const warm = await bench.serve('i1', hello)
  const cold = await bench.serve('i2', hello)
  const tasks = [
    buildTask({ revisions: [{ instances: [warm] }] }),
    buildTask({ task: 'cold', routes: ['cold.localhost'] }),
  ]
  await bench.control.publish(...tasks)
  await bench.control.close()
  assert.equal((await ask(bench, '/')).status, 200)
  const waiting = ask(bench, '/', { headers: 'Host: cold.localhost\r\n' })
  bench.control.table = tasks
  bench.control.onMessage = (message) => {
    if (message.type !== 'wake') return
    assert.equal(message.task, 'cold')
    const revisions = [{ instances: [cold] }]
    void bench.control.publish(buildTask({ task: 'cold', routes: ['cold.localhost'], revisions }))
  }
  await bench.control.listen(bench.linkPath)
  assert.equal((await waiting).text, 'hello')
})

test('activity and counters are reported, together and only when they change', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', (_request, response) => response.end('12345'))
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  await Promise.all(Array.from({ length: 20 }, () => ask(bench, '/')))
  const { instances } = await bench.control.seen('activity', (message) =>
    message.instances.some(({ requests }) => requests === 20),
  )
  assert.equal(instances[0]?.inFlight, 0)
  const nowMs = Number(process.hrtime.bigint()) / 1e6
  assert.ok(Math.abs(nowMs - (instances[0]?.idleSinceMs ?? 0)) < 60_000)
  assert.ok(bench.control.of('activity').length < 10)
  const { tasks } = await bench.control.seen('counters')
  assert.equal(tasks['hello']?.requests, 20)
  assert.equal(tasks['hello']?.statuses['2xx'], 20)
  assert.equal(tasks['hello']?.bytesOut, 100)
  assert.equal(tasks['hello']?.starts['warm'], 20)
})

test('10,000 tasks are told in one message, and each is found', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', hello)
  const tasks = Array.from({ length: 10_000 }, (_, index) =>
    buildTask({ task: `t${index}`, routes: [`t${index}.localhost`] }),
  )
  const last = buildTask({
    task: 't9999',
    routes: ['t9999.localhost'],
    revisions: [{ instances: [instance] }],
  })
  bench.control.send({ type: 'table', tasks: [...tasks.slice(0, -1), last] })
  await bench.control.settled()
  assert.equal((await ask(bench, '/', { headers: 'Host: t9999.localhost\r\n' })).status, 200)
  bench.control.send({ type: 'table', tasks: [last] })
  await bench.control.settled()
  assert.equal((await ask(bench, '/', { headers: 'Host: t1.localhost\r\n' })).status, 404)
})

test('SIGTERM lets requests end and accepts no more', async () => {
  await using bench = await openBench()
  const slow = holdRequests()
  const instance = await bench.serve('i1', slow.handler)
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  const asked = ask(bench, '/')
  await slow.until(1)
  const drained = bench.proxy.drain(AbortSignal.timeout(10_000))
  const late = bench.connect()
  const [error] = await once(late, 'error')
  assert.equal(error.code, 'ECONNREFUSED')
  slow.held[0]?.end('done')
  assert.equal((await asked).text, 'done')
  await drained
})
