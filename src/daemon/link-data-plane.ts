/** The scheduler's data plane over the link: remembers what was published, and whom it waits for an answer from. */

import type {
  ErrorBody,
  FromEgress,
  FromProxy,
  Grant,
  TaskCounters,
  TaskRoute,
  ToEgress,
  ToProxy,
} from '../core/link.ts'
import { LinkRole, openLinkServer, type LinkServerOptions } from '../link/server.ts'
import type { DataPlane } from '../scheduler/data-plane.ts'

import { parseFromEgress, parseFromProxy } from './link-messages.ts'

export interface DataPlaneListener {
  readonly onProxy: (message: FromProxy) => void
  /** A proxy has connected and was told everything. */
  readonly onProxyConnected: () => void
  readonly onEgress: (message: FromEgress) => void
}

/** Longer than a proxy takes to start, or to connect again. */
const FIRST_CONNECTION_MS = 5000

interface Drain {
  readonly mode: 'idle' | 'retire'
  readonly resolve: (answer: 'drained' | 'busy') => void
}

export class LinkDataPlane implements DataPlane {
  readonly #proxies: LinkRole<FromProxy, ToProxy>
  readonly #egresses: LinkRole<FromEgress, ToEgress>
  readonly #routes = new Map<string, TaskRoute>()
  /** What was last sent, to send changes only. */
  readonly #sent = new Map<string, string>()
  readonly #grants = new Map<string, Grant>()
  readonly #drains = new Map<string, Drain>()
  #counters: Readonly<Record<string, TaskCounters>> = {}
  /** Tasks that the proxy has sent a wake for since it last heard of them. */
  readonly #asked = new Set<string>()
  /** Resolves when a proxy is connected for the first time. */
  readonly #first = Promise.withResolvers<void>()
  readonly #publishFailures = new Map<string, string>()

  constructor(listener: DataPlaneListener) {
    this.#proxies = new LinkRole<FromProxy, ToProxy>({
      name: 'proxy',
      parse: parseFromProxy,
      onHello: (peer) => {
        peer.send({ type: 'table', tasks: [...this.#routes.values()] })
        this.#first.resolve()
        listener.onProxyConnected()
      },
      onMessage: (_peer, message) => {
        this.#receive(message)
        listener.onProxy(message)
      },
      onGone: () => this.#abandonDrains(),
    })
    this.#egresses = new LinkRole<FromEgress, ToEgress>({
      name: 'egress',
      parse: parseFromEgress,
      onHello: (peer) => peer.send({ type: 'policy', grants: [...this.#grants.values()] }),
      onMessage: (_peer, message) => listener.onEgress(message),
    })
  }

  /** Serves the link until disposed. */
  async listen(
    listen: LinkServerOptions['listen'],
    onProblem: NonNullable<LinkServerOptions['onProblem']>,
  ): Promise<AsyncDisposable> {
    return await openLinkServer({ listen, roles: [this.#proxies, this.#egresses], onProblem })
  }

  get isConnected(): boolean {
    return this.#proxies.isPresent
  }

  get isEgressConnected(): boolean {
    return this.#egresses.isPresent
  }

  /** Since the proxy started. */
  counters(task: string): TaskCounters | undefined {
    return this.#counters[task]
  }

  get allCounters(): Readonly<Record<string, TaskCounters>> {
    return this.#counters
  }

  /** Why a published port is not bound; undefined when it is. */
  publishFailure(address: string, hostPort: number): string | undefined {
    return this.#publishFailures.get(`${address}:${hostPort}`)
  }

  publish(route: TaskRoute): void {
    const text = JSON.stringify(route)
    const isSame = this.#sent.get(route.task) === text
    this.#routes.set(route.task, route)
    this.#sent.set(route.task, text)
    // Who asked hears of a running instance again, since he does not believe in it; but never of none, or he would
    // ask again without end.
    const isAnswer = this.#asked.has(route.task) && hasRunning(route)
    if (isSame && !isAnswer) return
    this.#asked.delete(route.task)
    this.#proxies.send({ type: 'task', task: route })
  }

  withdraw(task: string): void {
    this.#sent.delete(task)
    if (this.#routes.delete(task)) this.#proxies.send({ type: 'gone', task })
  }

  async drain(instance: string, mode: 'idle' | 'retire'): Promise<'drained' | 'busy'> {
    // A proxy that has not come back to us yet may well have requests there.
    if (!this.isConnected && mode === 'retire') await this.#firstConnection()
    if (!this.isConnected) return mode === 'retire' ? 'drained' : 'busy'
    const { promise, resolve } = Promise.withResolvers<'drained' | 'busy'>()
    // Retiring overrules a question about idleness.
    this.#drains.get(instance)?.resolve('busy')
    this.#drains.set(instance, { mode, resolve })
    this.#proxies.send({ type: 'drain', instance, mode })
    return await promise
  }

  failWake(task: string, revision: number, error: ErrorBody, retryAfterS: number): void {
    this.#asked.delete(task)
    this.#proxies.send({ type: 'wakeFailed', task, revision, error, retryAfterS })
  }

  tellExit(instance: string, error: ErrorBody): void {
    this.#proxies.send({ type: 'exited', instance, error })
  }

  grant(grant: Grant): void {
    this.#grants.set(grant.instance, grant)
    this.#egresses.send({ type: 'grant', grant })
  }

  revoke(instance: string): void {
    if (this.#grants.delete(instance)) this.#egresses.send({ type: 'revoke', instance })
  }

  #receive(message: FromProxy): void {
    if (message.type === 'wake') this.#asked.add(message.task)
    if (message.type === 'counters') this.#counters = message.tasks
    if (message.type === 'publishFailed') {
      this.#publishFailures.set(`${message.address}:${message.hostPort}`, message.message)
    }
    if (message.type !== 'drained' && message.type !== 'busy') return
    const drain = this.#drains.get(message.instance)
    this.#drains.delete(message.instance)
    drain?.resolve(message.type)
  }

  async #firstConnection(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, FIRST_CONNECTION_MS)
    await Promise.race([this.#first.promise, late])
    clearTimeout(timer)
  }

  /** The proxy's requests died with it; but whether an instance is idle is for its successor to say. */
  #abandonDrains(): void {
    if (this.isConnected) return
    for (const { mode, resolve } of this.#drains.values()) {
      resolve(mode === 'retire' ? 'drained' : 'busy')
    }
    this.#drains.clear()
  }
}

function hasRunning({ revisions }: TaskRoute): boolean {
  return revisions.some(({ instances }) => instances.some(({ state }) => state === 'running'))
}
