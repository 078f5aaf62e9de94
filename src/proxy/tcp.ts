/** TCP ports that tasks publish on the host: listens while control says so, and serves each connection by a session. */

import { createServer, type Server, type Socket } from 'node:net'

import type { FromProxy, TaskRoute } from '../core/link.ts'

import type { ExchangeContext } from './exchange.ts'
import type { Task } from './fleet.ts'
import { TcpSession } from './session.ts'

type Publish = TaskRoute['publish'][number]

interface Listener {
  readonly publish: Publish
  readonly server: Server
}

export interface TcpListenersOptions extends ExchangeContext {
  readonly send: (message: FromProxy) => void
}

export class TcpListeners {
  readonly #options: TcpListenersOptions
  readonly #listeners = new Map<Task, Listener[]>()
  readonly #clients = new Set<Socket>()
  #isClosed = false

  constructor(options: TcpListenersOptions) {
    this.#options = options
  }

  /** Listens where the task's ports are published now, and no more where they were. Open connections stay. */
  update(task: Task): void {
    const { publish } = task.route
    const before = this.#listeners.get(task)
    if (this.#isClosed || (publish.length === 0 && before === undefined)) return
    const kept: Listener[] = []
    for (const listener of before ?? []) {
      if (publish.some((wanted) => isSame(wanted, listener.publish))) kept.push(listener)
      else listener.server.close()
    }
    for (const wanted of publish) {
      if (!kept.some((listener) => isSame(wanted, listener.publish))) {
        kept.push(this.#listen(task, wanted))
      }
    }
    this.#listeners.set(task, kept)
  }

  remove(task: Task): void {
    for (const { server } of this.#listeners.get(task) ?? []) server.close()
    this.#listeners.delete(task)
  }

  /** Accepts nothing more; resolves when the last connection has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    const listeners = [...this.#listeners.values()].flat()
    this.#listeners.clear()
    await Promise.all(listeners.map(({ server }) => closeServer(server)))
  }

  destroy(): void {
    this.#isClosed = true
    for (const task of this.#listeners.keys()) this.remove(task)
    for (const client of this.#clients) client.destroy()
  }

  #listen(task: Task, publish: Publish): Listener {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
    const listener = { publish, server }
    server.on('connection', (client) => {
      this.#clients.add(client)
      client.once('close', () => this.#clients.delete(client))
      client.setKeepAlive(true, 30_000)
      new TcpSession(this.#options, client, task, publish.port).start()
    })
    server.once('error', (error) => {
      const { address, hostPort } = publish
      const { message } = error
      this.#options.send({ type: 'publishFailed', task: task.name, address, hostPort, message })
      // Forgotten, so that the next message from control tries again.
      const listeners = this.#listeners.get(task) ?? []
      this.#listeners.set(
        task,
        listeners.filter((one) => one !== listener),
      )
    })
    server.listen(publish.hostPort, publish.address)
    return listener
  }
}

function isSame(a: Publish, b: Publish): boolean {
  return a.address === b.address && a.hostPort === b.hostPort && a.port === b.port
}

function closeServer(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  return promise
}
