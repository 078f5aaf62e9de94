/**
 * One plain TCP connection to a task: it wakes an instance like a request, then carries bytes both ways until both
 * sides have ended. It counts as one request in flight for as long as it is open. Whatever goes wrong closes it:
 * there is no other way to tell a client of an unknown protocol.
 */

import type { Socket } from 'node:net'

import type { StartKind } from '../core/instance.ts'

import type { Waiter } from './activator.ts'
import type { ExchangeContext } from './exchange.ts'
import type { Instance, Revision, Task } from './fleet.ts'
import { join } from './join.ts'
import { chooseRevision } from './split.ts'

const OPEN_TIMEOUT_MS = 5000
const ATTEMPTS_MAX = 3

export class TcpSession implements Waiter {
  readonly #context: ExchangeContext
  readonly #client: Socket
  readonly #task: Task
  readonly #port: number
  #revision: Revision | null = null
  #instance: Instance | null = null
  #kind: StartKind = 'warm'
  #waitMs = 0
  #attempts = 0
  #isOver = false

  /** @param client  paused, with `allowHalfOpen`; owned by the session from now on */
  constructor(context: ExchangeContext, client: Socket, task: Task, port: number) {
    this.#context = context
    this.#client = client
    this.#task = task
    this.#port = port
    client.on('error', () => client.destroy())
    client.once('close', () => this.#finish())
  }

  start(): void {
    this.#task.counters.requests += 1
    this.#choose()
  }

  #choose(): void {
    const address = this.#client.remoteAddress ?? ''
    const choice = chooseRevision(this.#task, undefined, address, this.#context.random)
    if (choice === null || this.#task.route.refusal !== null) {
      this.#client.destroy()
      return
    }
    this.#revision = choice.revision
    this.#context.activator.acquire(choice.revision, this, choice.preferred)
  }

  onInstance(instance: Instance, kind: StartKind, waitMs: number): void {
    this.#instance = instance
    if (this.#attempts === 0) this.#kind = kind
    this.#waitMs += waitMs
    this.#attempts += 1
    instance.streams.open(this.#port, AbortSignal.timeout(OPEN_TIMEOUT_MS)).then(
      (upstream) => this.#join(instance, upstream),
      (thrown: unknown) => this.#retry(instance, String(thrown)),
    )
  }

  onRefused(): void {
    this.#client.destroy()
  }

  onMoved(): void {
    this.#revision = null
    this.#choose()
  }

  #join(instance: Instance, upstream: Socket): void {
    if (this.#isOver) {
      upstream.destroy()
      return
    }
    // Each side may end its half first.
    upstream.allowHalfOpen = true
    const { counters } = this.#task
    counters.starts[this.#kind] += 1
    if (instance.isFresh) {
      instance.isFresh = false
      this.#context.reports.firstByte(instance, '', this.#waitMs)
    }
    join(this.#client, upstream, () => {
      counters.bytesIn += upstream.bytesWritten
      counters.bytesOut += upstream.bytesRead
      this.#finish()
    })
  }

  #retry(instance: Instance, message: string): void {
    if (this.#isOver) return
    instance.suspect(performance.now())
    this.#context.reports.suspect(instance, message)
    this.#instance = null
    this.#context.activator.release(this.#revision, instance)
    if (this.#attempts >= ATTEMPTS_MAX || this.#revision === null) {
      this.#client.destroy()
      return
    }
    this.#context.activator.acquire(this.#revision, this, null, true)
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#context.reports.count(this.#task)
    const instance = this.#instance
    this.#instance = null
    if (instance !== null) this.#context.activator.release(this.#revision, instance)
    else if (this.#revision !== null) this.#context.activator.leave(this.#revision, this)
  }
}
