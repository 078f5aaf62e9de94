import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect, type Server, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'

import type { ExitReport } from '../../core/instance.ts'
import { readFrames, writeFrame, type Asked } from '../../executor/protocol.ts'

import { Executor, type Tenant } from './executors.ts'

const ENDED: ExitReport = {
  status: 0,
  signal: null,
  isCoreDumped: false,
  reason: 'STOPPED',
  exitedAtMs: 0,
}

/** An executor's side of the talk: says what it serves, and writes down whom it was to stop. */
class FakeExecutor {
  readonly served = new Set<string>()
  readonly stopped: string[] = []
  readonly exited = Promise.withResolvers<ExitReport>()
  readonly process = {
    endpoint: { kind: 'descriptor', path: '' },
    exited: this.exited.promise,
    isEnding: false,
    state: 'running',
    remove: async () => {},
    stop: async () => ENDED,
  } as const
  readonly #server: Server
  #socket: Socket | undefined

  constructor(t: TestContext) {
    this.#server = createServer((socket) => void this.#talk(socket).catch(() => {}))
    t.after(() => {
      this.#server.close()
      this.#socket?.destroy()
    })
  }

  async open(): Promise<Executor> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const executor = new Executor(this.process, async () => {
      const address = this.#server.address()
      assert(typeof address === 'object' && address !== null)
      const socket = connect({ port: address.port })
      await once(socket, 'connect')
      return socket
    })
    await executor.connect()
    await executor.link.list()
    return executor
  }

  /** Resolves when there is another connection, and what it was opened for is done. */
  async breakConnection(executor: Executor): Promise<void> {
    const again = once(this.#server, 'connection')
    this.#socket?.destroy()
    await again
    await executor.attempt
  }

  async #talk(socket: Socket): Promise<void> {
    this.#socket = socket
    socket.on('error', () => {})
    for await (const { message } of readFrames<Asked>(socket)) {
      if (message.type === 'stop') this.stopped.push(message.instance)
      const serving = [...this.served].map((instance) => ({ instance, port: 1 }))
      const result = JSON.stringify(message.type === 'list' ? serving : null)
      writeFrame(socket, { type: 'done', id: message.id, result })
    }
  }
}

function tenant(id: string, told: string[]): Tenant {
  return {
    id,
    onLog: () => {},
    onBreach: () => {},
    onLost: () => void told.push(`${id} lost`),
    onGone: () => void told.push(`${id} gone`),
  }
}

test('a connection that breaks is made again, and modules go on', async (t) => {
  const fake = new FakeExecutor(t)
  const executor = await fake.open()
  t.after(() => executor.disconnect())
  const told: string[] = []
  fake.served.add('kept')
  executor.add(tenant('kept', told))
  for (let count = 0; count < 3; count++) {
    await fake.breakConnection(executor)
    assert.ok(executor.isUsable)
    assert.deepEqual(await executor.link.list(), [{ instance: 'kept', port: 1 }])
  }
  assert.deepEqual(told, [])
})

test('what either side has not any more, the other is told', async (t) => {
  const fake = new FakeExecutor(t)
  const executor = await fake.open()
  t.after(() => executor.disconnect())
  const told: string[] = []
  const leaving = tenant('leaving', told)
  executor.add(tenant('unserved', told))
  executor.add(leaving)
  fake.served.add('leaving')
  const broken = fake.breakConnection(executor)
  await assert.rejects(executor.link.stop('leaving', 0), { reason: 'EXECUTOR_LOST' })
  executor.delete(leaving)
  await broken
  await executor.link.list()
  assert.deepEqual(told, ['unserved gone'])
  assert.deepEqual(fake.stopped, ['leaving'])
})

test('modules of an executor that has ended are lost', async (t) => {
  const fake = new FakeExecutor(t)
  const executor = await fake.open()
  t.after(() => executor.disconnect())
  const told: string[] = []
  executor.add(tenant('lost', told))
  fake.exited.resolve(ENDED)
  await fake.exited.promise
  assert.deepEqual(told, ['lost lost'])
})
