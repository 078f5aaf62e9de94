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
import { SharedParts } from '../core/shared.ts'
import { LinkRole, openLinkServer, type LinkPeer, type LinkServerOptions } from '../link/server.ts'
import type { DataPlane } from '../scheduler/data-plane.ts'

import { Drains, type DrainAnswer, type DrainMode } from './drains.ts'
import { parseFromEgress, parseFromProxy } from './link-messages.ts'

export interface DataPlaneListener {
  readonly onProxy: (message: FromProxy) => void
  /** A proxy has connected and was told everything. */
  readonly onProxyConnected: () => void
  readonly onEgress: (message: FromEgress) => void
}

/** Longer than a proxy takes to start, or to connect again. */
const FIRST_CONNECTION_MS = 5000

/** A published port that the proxy could not bind. */
interface PublishFailure {
  readonly task: string
  readonly message: string
}

export class LinkDataPlane implements DataPlane {
  readonly #proxies: LinkRole<FromProxy, ToProxy>
  readonly #egresses: LinkRole<FromEgress, ToEgress>
  /** What was last published of each task: to send changes only, and everything to a proxy that has just come. */
  readonly #routes = new Map<string, TaskRoute>()
  readonly #parts = new SharedParts()
  readonly #grants = new Map<string, Grant>()
  readonly #drains = new Drains<LinkPeer<ToProxy>>((peer, instance, mode) =>
    peer.send({ type: 'drain', instance, mode }),
  )
  /** The proxy tells those that changed, and a new proxy goes on from them. */
  readonly #counters = new Map<string, TaskCounters>()
  /** The same, by instance. */
  readonly #requests = new Map<string, number>()
  /** Tasks that the proxy has sent a wake for since it last heard of them. */
  readonly #asked = new Set<string>()
  /** Resolves when a proxy is connected for the first time. */
  readonly #first = Promise.withResolvers<void>()
  /** By `address:port`. */
  readonly #publishFailures = new Map<string, PublishFailure>()

  constructor(listener: DataPlaneListener) {
    this.#proxies = new LinkRole<FromProxy, ToProxy>({
      name: 'proxy',
      parse: parseFromProxy,
      onHello: (peer) => {
        // It tries again what another one could not bind.
        this.#publishFailures.clear()
        const carried = {
          tasks: Object.fromEntries(this.#counters),
          instances: Object.fromEntries(this.#requests),
        }
        peer.send({ type: 'table', tasks: [...this.#routes.values()], carried })
        this.#drains.join(peer)
        this.#first.resolve()
        listener.onProxyConnected()
      },
      onMessage: (peer, message) => {
        this.#receive(peer, message)
        listener.onProxy(message)
      },
      onGone: (peer) => this.#drains.leave(peer),
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

  /** Of what proxies have told since this process or the proxy started, whichever was earlier. */
  counters(task: string): TaskCounters | undefined {
    return this.#counters.get(task)
  }

  get allCounters(): ReadonlyMap<string, TaskCounters> {
    return this.#counters
  }

  /** Why a published port is not bound; undefined when it is. */
  publishFailure(address: string, hostPort: number): string | undefined {
    return this.#publishFailures.get(`${address}:${hostPort}`)?.message
  }

  publish(route: TaskRoute): void {
    const isSame = JSON.stringify(this.#routes.get(route.task)) === JSON.stringify(route)
    const { publish, revisions } = route
    this.#routes.set(route.task, {
      ...route,
      publish: this.#parts.share(publish),
      revisions: this.#parts.share(revisions),
    })
    // Who asked hears of a running instance again, since he does not believe in it; but never of none, or he would
    // ask again without end.
    const isAnswer = this.#asked.has(route.task) && hasRunning(route)
    if (isSame && !isAnswer) return
    this.#asked.delete(route.task)
    // The proxy tries again to bind what it could not.
    this.#forgetPublishFailures(route.task)
    this.#proxies.send({ type: 'task', task: route })
  }

  withdraw(task: string): void {
    this.#asked.delete(task)
    this.#counters.delete(task)
    this.#forgetPublishFailures(task)
    if (this.#routes.delete(task)) this.#proxies.send({ type: 'gone', task })
  }

  async drain(instance: string, mode: DrainMode): Promise<DrainAnswer> {
    // A proxy that has not come back to us yet may well have requests there.
    if (!this.isConnected && mode === 'retire') await this.#firstConnection()
    return await this.#drains.ask(instance, mode)
  }

  failWake(task: string, revision: number, error: ErrorBody, retryAfterS: number): void {
    this.#asked.delete(task)
    this.#proxies.send({ type: 'wakeFailed', task, revision, error, retryAfterS })
  }

  tellExit(instance: string, error: ErrorBody): void {
    this.#proxies.send({ type: 'exited', instance, error })
  }

  tellBreak(instance: string, error: ErrorBody): void {
    this.#proxies.send({ type: 'broke', instance, error })
  }

  grant(grant: Grant): void {
    this.#grants.set(grant.instance, grant)
    this.#egresses.send({ type: 'grant', grant })
  }

  revoke(instance: string): void {
    this.#requests.delete(instance)
    if (this.#grants.delete(instance)) this.#egresses.send({ type: 'revoke', instance })
  }

  #receive(peer: LinkPeer<ToProxy>, message: FromProxy): void {
    if (message.type === 'wake' && this.#routes.has(message.task)) this.#asked.add(message.task)
    if (message.type === 'counters') {
      for (const [task, counters] of Object.entries(message.tasks)) {
        if (this.#routes.has(task)) this.#counters.set(task, counters)
      }
    }
    if (message.type === 'activity') {
      for (const { instance, requests } of message.instances) {
        if (this.#grants.has(instance)) this.#requests.set(instance, requests)
      }
    }
    if (message.type === 'publishFailed') {
      const { task, address, hostPort, message: text } = message
      this.#publishFailures.set(`${address}:${hostPort}`, { task, message: text })
    }
    if (message.type !== 'drained' && message.type !== 'busy') return
    this.#drains.hear(peer, message.instance, message.type)
  }

  #forgetPublishFailures(task: string): void {
    for (const [key, failure] of this.#publishFailures) {
      if (failure.task === task) this.#publishFailures.delete(key)
    }
  }

  async #firstConnection(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, FIRST_CONNECTION_MS)
    await Promise.race([this.#first.promise, late])
    clearTimeout(timer)
  }
}

function hasRunning({ revisions }: TaskRoute): boolean {
  return revisions.some(({ instances }) => instances.some(({ state }) => state === 'running'))
}
