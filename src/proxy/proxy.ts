/**
 * The proxy as one object: it applies what control says, and serves what its listeners accept. Which sockets those are,
 * and as whom it runs, is decided by `daemon/proxy.ts`.
 */

import type { Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { BlockList, isIPv6, type Server as NetServer } from 'node:net'

import type { Carried, FromProxy, TaskRoute, ToProxy } from '../core/link.ts'
import { openLinkClient, type LinkClient } from '../link/client.ts'
import type { RawMessage } from '../link/connection.ts'

import { Activator } from './activator.ts'
import { Deadlines } from './clock.ts'
import { Fleet, type Instance, type OpenStreams, type Task } from './fleet.ts'
import { Front, FRONT_LIMITS, type Certificate, type FrontLimits } from './front.ts'
import { Reports } from './reports.ts'
import { RouteTable } from './table.ts'
import { TcpListeners } from './tcp.ts'
import { Tunnel } from './tunnel.ts'

export interface ProxyOptions {
  /** Path of control's link socket. */
  readonly linkPath: string
  readonly openStreams: OpenStreams
  /** Addresses and networks (`10.0.0.0/8`) that may say where a request came from. */
  readonly trusted: readonly string[]
  readonly limits?: Partial<FrontLimits>
  readonly random?: () => number
  /** One line about something that went wrong. */
  readonly log: (line: string) => void
}

/** Between two looks for connections that have become idle, while the proxy drains. */
const SWEEP_MS = 50

export class Proxy implements AsyncDisposable {
  readonly #options: ProxyOptions
  readonly #fleet: Fleet
  readonly #table = new RouteTable<Task>()
  readonly #deadlines = new Deadlines()
  readonly #reports: Reports
  readonly #activator: Activator
  readonly #front: Front
  readonly #tcp: TcpListeners
  readonly #tunnel: Tunnel
  readonly #link: LinkClient<FromProxy>
  readonly #servers = new Set<Server | SecureServer>()
  readonly #told = Promise.withResolvers<void>()
  readonly #startedMs = performance.now()
  #hasTable = false

  constructor(options: ProxyOptions) {
    this.#options = options
    this.#fleet = new Fleet(options.openStreams)
    this.#reports = new Reports((message) => this.#link.send(message))
    this.#activator = new Activator({
      deadlines: this.#deadlines,
      send: (message) => this.#link.send(message),
      onActivity: (instance) => this.#reports.touch(instance),
      onIdle: (instance) => this.#onIdle(instance),
    })
    const exchanges = {
      activator: this.#activator,
      deadlines: this.#deadlines,
      reports: this.#reports,
      random: options.random ?? Math.random,
    }
    this.#front = new Front({
      exchanges,
      table: this.#table,
      health: () => this.#describeHealth(),
      trusted: buildBlockList(options.trusted),
      limits: { ...FRONT_LIMITS, ...options.limits },
    })
    this.#tcp = new TcpListeners({ ...exchanges, send: (message) => this.#link.send(message) })
    this.#tunnel = new Tunnel({ exchanges, front: this.#front, tasks: this.#fleet.tasks })
    this.#link = openLinkClient<ToProxy, FromProxy>({
      path: options.linkPath,
      hello: { type: 'hello', role: 'proxy', pid: process.pid },
      parse: parseMessage,
      onMessage: (message) => this.#apply(message),
      onUp: () => this.#onUp(),
      onProblem: (problem) => options.log(`link: ${problem.message}`),
    })
  }

  /** Resolves when control has told everything, or when `signal` says that it takes too long. Never rejects. */
  async ready(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#told.resolve(), { once: true })
    await this.#told.promise
  }

  /** A server for HTTP that the caller lets listen. It is stopped with the proxy. */
  createServer(): Server {
    const server = this.#front.createServer()
    this.#servers.add(server)
    return server
  }

  /** The same for HTTPS; `setSecureContext` replaces the certificate for new connections. */
  createSecureServer(certificate: Certificate): SecureServer {
    const server = this.#front.createSecureServer(certificate)
    this.#servers.add(server)
    return server
  }

  /** A server for the connections of the egress relay. */
  createTunnel(): NetServer {
    return this.#tunnel.createServer()
  }

  /**
   * Accepts nothing more, lets requests end, and breaks off what is left.
   *
   * @param signal  when to stop waiting
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.#front.stop()
    const closed = [...this.#servers].map(closeServer)
    closed.push(this.#tcp.close(), this.#tunnel.close())
    // An answer that had begun before said that its connection is kept.
    const sweep = setInterval(() => {
      for (const server of this.#servers) server.closeIdleConnections()
    }, SWEEP_MS)
    const over = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => over.resolve(), { once: true })
    await Promise.race([Promise.all(closed), over.promise])
    clearInterval(sweep)
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.close()
      server.closeAllConnections()
    }
    this.#tcp.destroy()
    this.#tunnel.destroy()
    this.#deadlines.stop()
    this.#reports.stop()
    await this.#link[Symbol.asyncDispose]()
    for (const task of this.#fleet.tasks.values()) this.#fleet.remove(task.name)
  }

  #apply(message: ToProxy): void {
    switch (message.type) {
      case 'table':
        this.#replace(message.tasks, message.carried)
        return
      case 'task':
        this.#update(message.task)
        return
      case 'gone':
        this.#remove(message.task)
        return
      case 'drain':
        this.#drainInstance(message.instance, message.mode)
        return
      case 'exited':
        this.#fleet.instances.get(message.instance)?.exit(message.error)
        return
      case 'broke':
        this.#fleet.instances.get(message.instance)?.lose(message.error)
        return
      case 'wakeFailed': {
        const task = this.#fleet.tasks.get(message.task)
        const revision = task?.revisions.find(({ number }) => number === message.revision)
        if (revision !== undefined) {
          this.#activator.refuse(revision, message.error, message.retryAfterS)
        }
      }
    }
  }

  #replace(tasks: readonly TaskRoute[], carried: Carried | undefined): void {
    const listed = new Set(tasks.map(({ task }) => task))
    for (const name of this.#fleet.tasks.keys()) if (!listed.has(name)) this.#remove(name)
    for (const task of tasks) this.#update(task)
    if (!this.#hasTable && carried !== undefined) this.#fleet.carry(carried)
    this.#hasTable = true
    this.#told.resolve()
  }

  #update(route: TaskRoute): void {
    const before = this.#fleet.tasks.get(route.task)
    const revisionsBefore = before?.revisions ?? []
    const routesBefore = before?.route.routes.join('\n')
    const task = this.#fleet.update(route)
    if (routesBefore !== route.routes.join('\n')) this.#setRoutes(task)
    this.#tcp.update(task)
    for (const revision of revisionsBefore) {
      if (!task.revisions.includes(revision)) this.#activator.abandon(revision)
    }
    for (const revision of task.revisions) {
      if (route.refusal === null) this.#activator.serve(revision)
      else this.#activator.refuse(revision, route.refusal, route.refusal.retryAfterS)
    }
  }

  #setRoutes(task: Task): void {
    try {
      this.#table.set(task, task.route.routes)
    } catch (thrown) {
      // Control checks routes; a newer one may know a form that we do not.
      this.#options.log(`routes of ${task.name}: ${String(thrown)}`)
    }
  }

  #remove(name: string): void {
    const task = this.#fleet.tasks.get(name)
    if (task === undefined) return
    const { revisions } = task
    this.#table.delete(task)
    this.#tcp.remove(task)
    this.#fleet.remove(name)
    for (const revision of revisions) this.#activator.refuse(revision, buildGone(name))
  }

  #drainInstance(id: string, mode: 'idle' | 'retire'): void {
    const instance = this.#fleet.instances.get(id)
    if (instance === undefined) {
      this.#link.send({ type: 'drained', instance: id })
      return
    }
    if (mode === 'idle' && instance.inFlight > 0) {
      this.#link.send({ type: 'busy', instance: id })
      return
    }
    instance.drain = 'retiring'
    instance.closePools()
    if (instance.inFlight === 0) this.#reportDrained(instance)
  }

  #onIdle(instance: Instance): void {
    if (instance.drain === 'retiring') this.#reportDrained(instance)
    this.#fleet.forget(instance)
  }

  #reportDrained(instance: Instance): void {
    instance.drain = 'drained'
    instance.closePools()
    this.#reports.flush(instance)
    this.#link.send({ type: 'drained', instance: instance.id })
  }

  #onUp(): void {
    this.#reports.repeat(this.#fleet)
    this.#activator.repeatWakes()
  }

  #describeHealth(): object {
    return {
      status: this.#hasTable ? 'ok' : 'starting',
      control: this.#link.isUp ? 'connected' : 'away',
      tasks: this.#fleet.tasks.size,
      waiting: this.#activator.waiting,
      uptimeS: Math.round((performance.now() - this.#startedMs) / 1000),
    }
  }
}

const TYPES = new Set(['table', 'task', 'gone', 'drain', 'exited', 'broke', 'wakeFailed'])

/** Control is trusted; only types that a newer one may have are sorted out. */
function parseMessage(raw: RawMessage): ToProxy | undefined {
  return isKnown(raw) ? raw : undefined
}

function isKnown(raw: object & { readonly type: string }): raw is ToProxy {
  return TYPES.has(raw.type)
}

function buildBlockList(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}

function buildGone(task: string) {
  const message = `${task} was removed while the request waited`
  return { code: 'unavailable', reason: 'TASK_GONE', message } as const
}

function closeServer(server: Server | SecureServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  return promise
}
