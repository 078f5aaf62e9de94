/**
 * Connections from the egress relay: what one task sends to another (docs/internals/link.md, "The tunnel").
 *
 * The first line says which task is meant, so that no route and no Host header decides. It comes from the egress relay,
 * which knows who may reach whom; nobody else can open the socket.
 */

import { createServer, type Server, type Socket } from 'node:net'

import type { ExchangeContext } from './exchange.ts'
import { sendRawFailure } from './failure.ts'
import * as failures from './failures.ts'
import type { Task } from './fleet.ts'
import type { Front } from './front.ts'
import { TcpSession } from './session.ts'

export interface TunnelOptions {
  readonly exchanges: ExchangeContext
  readonly front: Front
  readonly tasks: ReadonlyMap<string, Task>
}

const LINE_BYTES_MAX = 256
const LINE_TIMEOUT_MS = 5000
const LINE =
  /^(?:http (?<http>[a-z0-9-]+) (?<from>[a-z0-9-]+)|tcp (?<tcp>[a-z0-9-]+) (?<port>\d{1,5}))$/

export class Tunnel {
  readonly #options: TunnelOptions
  readonly #http: ReturnType<Front['createServer']>
  readonly #clients = new Set<Socket>()
  #server: Server | undefined

  constructor(options: TunnelOptions) {
    this.#options = options
    // It never listens: it is given connections.
    this.#http = options.front.createServer()
  }

  createServer(): Server {
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      this.#clients.add(client)
      client.once('close', () => this.#clients.delete(client))
      this.#readLine(client)
    })
    return this.#server
  }

  /** Accepts nothing more; resolves when the last connection has ended. */
  async close(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    const closed = Promise.withResolvers<void>()
    server.close(() => closed.resolve())
    this.#http.closeIdleConnections()
    await closed.promise
  }

  destroy(): void {
    this.#server?.close()
    this.#http.close()
    for (const client of this.#clients) client.destroy()
  }

  #readLine(client: Socket): void {
    let received = Buffer.alloc(0)
    const timer = setTimeout(() => client.destroy(), LINE_TIMEOUT_MS)
    client.once('close', () => clearTimeout(timer))
    const onError = (): void => {
      client.destroy()
    }
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\n')
      if (end === -1 && received.length <= LINE_BYTES_MAX) return
      clearTimeout(timer)
      client.off('data', onData)
      client.off('error', onError)
      client.pause()
      client.unshift(received.subarray(end + 1))
      this.#serve(client, received.toString('latin1', 0, Math.max(0, end)))
    }
    client.on('error', onError)
    client.on('data', onData)
  }

  #serve(client: Socket, line: string): void {
    const { http, from, tcp, port } = LINE.exec(line)?.groups ?? {}
    const { exchanges, front, tasks } = this.#options
    const task = tasks.get(http ?? tcp ?? '')
    client.on('error', () => client.destroy())
    if (task !== undefined && http !== undefined) {
      front.adopt(this.#http, client, task, from ?? '')
      client.resume()
      return
    }
    if (task !== undefined && tcp !== undefined) {
      new TcpSession(exchanges, client, task, Number(port)).start()
      return
    }
    if (http === undefined) client.destroy()
    else sendRawFailure(client, failures.noTask(http), '-')
  }
}
