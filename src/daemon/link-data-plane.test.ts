import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'

import { temporaryFolder } from '../../tests/fixtures/images.ts'
import type { Carried, FromProxy, TaskRoute, ToProxy } from '../core/link.ts'
import { openLinkClient } from '../link/client.ts'
import type { RawMessage } from '../link/connection.ts'

import { LinkDataPlane } from './link-data-plane.ts'

/** Control's end of a real link, and as many proxies as a test wants. */
class Bench implements AsyncDisposable {
  readonly dataPlane: LinkDataPlane
  readonly #resources: AsyncDisposableStack
  readonly #path: string
  readonly #watchers = new Set<() => void>()
  readonly received: FromProxy[] = []

  private constructor(resources: AsyncDisposableStack, folder: string) {
    this.#resources = resources
    this.#path = path.join(folder, 'link.sock')
    this.dataPlane = new LinkDataPlane({
      onProxy: (message) => {
        this.received.push(message)
        this.changed()
      },
      onProxyConnected: () => this.changed(),
      onEgress: () => {},
    })
  }

  static async open(): Promise<Bench> {
    const resources = new AsyncDisposableStack()
    const { path: folder } = resources.use(await temporaryFolder())
    const bench = new Bench(resources, folder)
    resources.use(
      await bench.dataPlane.listen({ path: bench.#path }, (problem) => assert.ifError(problem)),
    )
    return bench
  }

  /** Resolves when control has greeted it. */
  async connect(): Promise<TestProxy> {
    const proxy = new TestProxy(this.#path, this)
    this.#resources.use(proxy)
    proxy.carried = (await proxy.heard('table')).carried
    return proxy
  }

  changed(): void {
    for (const watcher of this.#watchers) watcher()
  }

  async until(look: () => boolean): Promise<void> {
    while (!look()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#watchers.add(resolve)
      await promise
      this.#watchers.delete(resolve)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

class TestProxy implements AsyncDisposable {
  readonly messages: ToProxy[] = []
  /** What it was greeted with. */
  carried: Carried | undefined
  readonly #bench: Bench
  readonly #client

  constructor(socketPath: string, bench: Bench) {
    this.#bench = bench
    this.#client = openLinkClient<ToProxy, FromProxy>({
      path: socketPath,
      hello: { type: 'hello', role: 'proxy', pid: process.pid },
      parse: parseToProxy,
      onMessage: (message) => {
        this.messages.push(message)
        bench.changed()
      },
    })
  }

  say(message: FromProxy): void {
    this.#client.send(message)
  }

  /** Takes the first message of a type, once it is there. */
  async heard<Type extends ToProxy['type']>(type: Type): Promise<Extract<ToProxy, { type: Type }>> {
    await this.#bench.until(() => this.messages.some((message) => message.type === type))
    const index = this.messages.findIndex((message) => message.type === type)
    const [message] = this.messages.splice(index, 1)
    assert.ok(message !== undefined && isOfType(message, type))
    return message
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]()
  }
}

function isOfType<Type extends ToProxy['type']>(
  message: ToProxy,
  type: Type,
): message is Extract<ToProxy, { type: Type }> {
  return message.type === type
}

/** Control is trusted here: what is tested is what it says. */
function parseToProxy(raw: RawMessage): ToProxy {
  return JSON.parse(JSON.stringify(raw))
}

const instance = {
  id: 'hello-1-aaaaaa',
  state: 'running',
  endpoint: { kind: 'socket', path: '/nowhere' },
  startKind: 'cold',
} as const

function route(instances: TaskRoute['revisions'][number]['instances'] = []): TaskRoute {
  return {
    task: 'hello',
    routes: ['hello.localhost'],
    sticky: 'none',
    publish: [],
    refusal: null,
    revisions: [
      {
        revision: 1,
        percent: 100,
        httpPort: 8000,
        concurrency: 1,
        requestTimeoutMs: 1000,
        startTimeoutMs: 1000,
        queueLength: 1,
        bodyBytes: null,
        instances,
      },
    ],
  }
}

function counters(requests: number) {
  return { requests, statuses: {}, bytesIn: 0, bytesOut: 0, starts: {} }
}

test('a change is sent once, and who asked for an instance hears of a running one again', async () => {
  await using bench = await Bench.open()
  const proxy = await bench.connect()
  bench.dataPlane.publish(route())
  bench.dataPlane.publish(route())
  bench.dataPlane.publish(route([instance]))
  bench.dataPlane.publish(route([instance]))
  proxy.say({ type: 'wake', task: 'hello', revision: 1, waiting: 1, inFlight: 0 })
  await bench.until(() => bench.received.length === 1)
  bench.dataPlane.publish(route([instance]))
  bench.dataPlane.publish(route([instance]))
  bench.dataPlane.withdraw('hello')
  await proxy.heard('gone')
  assert.deepEqual(
    proxy.messages.map(({ type }) => type),
    ['task', 'task', 'task'],
  )
})

test('without a proxy nothing is in flight, and nothing is idle', async () => {
  await using bench = await Bench.open()
  const first = await bench.connect()
  await first[Symbol.asyncDispose]()
  // The end of a connection is no event for control: it is asked for.
  while (bench.dataPlane.isConnected) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await bench.dataPlane.drain('i', 'retire'), 'drained')
  assert.equal(await bench.dataPlane.drain('i', 'idle'), 'busy')
})

test('a question whose proxy goes away is answered', async () => {
  await using bench = await Bench.open()
  const proxy = await bench.connect()
  const answers = [bench.dataPlane.drain('a', 'retire'), bench.dataPlane.drain('b', 'idle')]
  await proxy.heard('drain')
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(await Promise.all(answers), ['drained', 'busy'])
})

test('"busy" about idleness does not end the wait of who retires the instance', async () => {
  await using bench = await Bench.open()
  const proxy = await bench.connect()
  const idle = bench.dataPlane.drain('a', 'idle')
  const retire = bench.dataPlane.drain('a', 'retire')
  assert.equal(await idle, 'busy')
  let isAnswered = false
  void retire.then(() => {
    isAnswered = true
  })
  proxy.say({ type: 'busy', instance: 'a' })
  await bench.until(() => bench.received.length === 1)
  assert.equal(isAnswered, false)
  proxy.say({ type: 'drained', instance: 'a' })
  assert.equal(await retire, 'drained')
})

test('of two proxies both have to be done, also one that came later', async () => {
  await using bench = await Bench.open()
  const old = await bench.connect()
  const retire = bench.dataPlane.drain('a', 'retire')
  const idle = bench.dataPlane.drain('b', 'idle')
  const fresh = await bench.connect()
  assert.equal(await idle, 'busy')
  assert.deepEqual(await fresh.heard('drain'), { type: 'drain', instance: 'a', mode: 'retire' })
  let isAnswered = false
  void retire.then(() => {
    isAnswered = true
  })
  fresh.say({ type: 'drained', instance: 'a' })
  await bench.until(() => bench.received.length === 1)
  assert.equal(isAnswered, false)
  await old[Symbol.asyncDispose]()
  assert.equal(await retire, 'drained')
})

test('counters of tasks that did not change stay, until the task is another one; a new proxy goes on from them', async () => {
  await using bench = await Bench.open()
  const proxy = await bench.connect()
  bench.dataPlane.publish(route())
  bench.dataPlane.publish({ ...route(), task: 'other' })
  proxy.say({ type: 'counters', tasks: { hello: counters(1), other: counters(2) } })
  proxy.say({ type: 'counters', tasks: { hello: counters(3), unknown: counters(1) } })
  await bench.until(() => bench.received.length === 2)
  const { dataPlane } = bench
  const all = () => [...dataPlane.allCounters].map(([task, { requests }]) => [task, requests])
  assert.deepEqual(all(), [
    ['hello', 3],
    ['other', 2],
  ])
  dataPlane.withdraw('hello')
  assert.deepEqual(all(), [['other', 2]])
  const id = 'other-1-abcdef'
  dataPlane.grant({ instance: id, task: 'other', token: '', targets: [] })
  const activity = { inFlight: 0, idleSinceMs: 0, requests: 7 }
  proxy.say({
    type: 'activity',
    instances: [id, 'unknown'].map((one) => ({ instance: one, ...activity })),
  })
  await bench.until(() => bench.received.length === 3)
  const { carried } = await bench.connect()
  assert.deepEqual(carried, { tasks: { other: counters(2) }, instances: { [id]: 7 } })
  assert.deepEqual(all(), [['other', 2]])
  dataPlane.revoke(id)
  assert.deepEqual((await bench.connect()).carried?.instances, {})
})

test('a port that could not be bound is told until it is tried again', async () => {
  await using bench = await Bench.open()
  const proxy = await bench.connect()
  const { dataPlane } = bench
  dataPlane.publish(route())
  const failed = { type: 'publishFailed', task: 'hello', address: '::', hostPort: 1 } as const
  proxy.say({ ...failed, message: 'EACCES' })
  await bench.until(() => bench.received.length === 1)
  assert.equal(dataPlane.publishFailure('::', 1), 'EACCES')
  dataPlane.publish(route([instance]))
  assert.equal(dataPlane.publishFailure('::', 1), undefined)
})
