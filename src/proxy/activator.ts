/**
 * Finds an instance for each request, and holds requests for which there is none yet.
 *
 * Per revision: fewest requests in flight below its concurrency, the oldest first; else a queue, first come first
 * served, bounded in length and time. Control is asked once however many wait, and again when they doubled.
 * What is done with an instance is the exchange's business; it gives each one back by `release`.
 */

import type { StartKind } from '../core/instance.ts'
import type { ErrorBody, FromProxy } from '../core/link.ts'

import type { Deadlines, Expiring } from './clock.ts'
import type { Instance, Revision } from './fleet.ts'

/** Whoever needs an instance. In one queue at most, and called once per `acquire`. */
export interface Waiter {
  /** It holds one place of the instance now. `waitMs`: since `acquire`, 0 when it was at hand. */
  onInstance(instance: Instance, kind: StartKind, waitMs: number): void
  onRefused(error: ErrorBody, retryAfterS?: number): void
  /** The revision that it waited for is no more: it is in no queue, and may choose again. */
  onMoved(): void
}

export interface ActivatorOptions {
  readonly deadlines: Deadlines
  readonly send: (message: FromProxy) => void
  /** An instance changed what it has in flight. */
  readonly onActivity: (instance: Instance) => void
  /** The last request of an instance ended. */
  readonly onIdle: (instance: Instance) => void
}

/** After the revision's own limit, the proxy answers by itself. */
const GRACE_MS = 1000

export class Activator {
  readonly #options: ActivatorOptions
  readonly #queues = new Map<Revision, Queue>()

  constructor(options: ActivatorOptions) {
    this.#options = options
  }

  /** Requests that wait, for health and tests. */
  get waiting(): number {
    let waiting = 0
    for (const queue of this.#queues.values()) waiting += queue.size
    return waiting
  }

  /**
   * Calls `onInstance` before it returns when an instance has room; otherwise later, or `onRefused`.
   *
   * @param preferred  taken if it has room, however busy it is
   * @param isRetry  it has waited already: it goes to the front, and the bound of the queue does not count
   */
  acquire(revision: Revision, waiter: Waiter, preferred: Instance | null, isRetry = false): void {
    const nowMs = performance.now()
    const queue = this.#queues.get(revision)
    const instance = queue === undefined || isRetry ? choose(revision, preferred, nowMs) : null
    if (instance !== null) {
      this.#occupy(instance)
      waiter.onInstance(instance, 'warm', 0)
      return
    }
    this.#enqueue(revision, waiter, nowMs, isRetry)
  }

  /** The waiter needs no instance any more. Nothing happens when it is in no queue. */
  leave(revision: Revision, waiter: Waiter): void {
    this.#queues.get(revision)?.delete(waiter)
    this.#dropEmpty(revision)
  }

  /** Gives back one place. */
  release(revision: Revision | null, instance: Instance): void {
    instance.inFlight -= 1
    if (instance.inFlight === 0) {
      instance.idleSinceMs = performance.now()
      this.#options.onIdle(instance)
    }
    this.#options.onActivity(instance)
    if (revision !== null) this.pump(revision)
  }

  /** Serves those who wait, as far as there is room. Called after every change of the revision or its instances. */
  pump(revision: Revision): void {
    const queue = this.#queues.get(revision)
    if (queue === undefined) return
    const nowMs = performance.now()
    let instance = choose(revision, null, nowMs)
    while (instance !== null) {
      const entry = queue.shift()
      if (entry === undefined) break
      this.#occupy(instance)
      const isWoken = instance.runningSinceMs > entry.sinceMs
      entry.waiter.onInstance(
        instance,
        isWoken ? instance.startKind : 'warm',
        nowMs - entry.sinceMs,
      )
      instance = choose(revision, null, nowMs)
    }
    this.#dropEmpty(revision)
  }

  /** Control listed the revision: serves who waits, and asks again if there is nothing to wait for. */
  serve(revision: Revision): void {
    this.pump(revision)
    const queue = this.#queues.get(revision)
    if (queue === undefined) return
    const nowMs = performance.now()
    const isServing = revision.instances.some((instance) => instance.isUsable(nowMs))
    // Where instances are only full, asking again would make control list them again, without end.
    if (isServing) queue.wokenFor = queue.size
    else this.#wake(revision, queue)
  }

  /** The revision is no more: everything that waits for it chooses again. */
  abandon(revision: Revision): void {
    for (const { waiter } of this.#takeAll(revision)) waiter.onMoved()
  }

  /** Answers everything that waits for the revision. */
  refuse(revision: Revision, error: ErrorBody, retryAfterS?: number): void {
    for (const { waiter } of this.#takeAll(revision)) waiter.onRefused(error, retryAfterS)
  }

  /** The link is back: control may not know what we asked for before. */
  repeatWakes(): void {
    for (const [revision, queue] of this.#queues) this.#wake(revision, queue)
  }

  #occupy(instance: Instance): void {
    instance.inFlight += 1
    instance.requests += 1
    this.#options.onActivity(instance)
  }

  #enqueue(revision: Revision, waiter: Waiter, nowMs: number, isRetry: boolean): void {
    const { queueLength, startTimeoutMs } = revision.route
    const queue = this.#queues.get(revision) ?? this.#openQueue(revision)
    if (queue.size >= queueLength && !isRetry) {
      this.#dropEmpty(revision)
      waiter.onRefused(buildQueueFull(revision), 1)
      return
    }
    queue.push({ waiter, sinceMs: nowMs, deadlineMs: nowMs + startTimeoutMs + GRACE_MS }, isRetry)
    if (queue.size >= queue.wokenFor * 2 || queue.wokenFor === 0) this.#wake(revision, queue)
  }

  #takeAll(revision: Revision): readonly Entry[] {
    const queue = this.#queues.get(revision)
    if (queue === undefined) return []
    this.#queues.delete(revision)
    this.#options.deadlines.delete(queue)
    return queue.takeAll()
  }

  #openQueue(revision: Revision): Queue {
    const queue = new Queue((nowMs) => this.#expire(revision, queue, nowMs))
    this.#queues.set(revision, queue)
    this.#options.deadlines.add(queue)
    return queue
  }

  #wake(revision: Revision, queue: Queue): void {
    queue.wokenFor = queue.size
    const { number, instances } = revision
    const inFlight = instances.reduce((sum, instance) => sum + instance.inFlight, 0)
    const { name: task } = revision.task
    this.#options.send({ type: 'wake', task, revision: number, waiting: queue.size, inFlight })
  }

  #expire(revision: Revision, queue: Queue, nowMs: number): void {
    for (const { waiter } of queue.takeExpired(nowMs)) waiter.onRefused(buildLate(revision), 1)
    // An instance that was suspected is tried again after a while, also when control is away.
    this.pump(revision)
    this.#dropEmpty(revision)
  }

  #dropEmpty(revision: Revision): void {
    const queue = this.#queues.get(revision)
    if (queue === undefined || queue.size > 0) return
    this.#queues.delete(revision)
    this.#options.deadlines.delete(queue)
  }
}

interface Entry {
  readonly waiter: Waiter
  readonly sinceMs: number
  readonly deadlineMs: number
}

/** First come, first served; leaving from the middle costs nothing. Retries go before all others. */
class Queue implements Expiring {
  readonly #entries = new Map<Waiter, Entry>()
  readonly #retries = new Map<Waiter, Entry>()
  readonly onTick: (nowMs: number) => void
  deadlineIndex = -1
  /** How many waited when control was asked last. */
  wokenFor = 0

  constructor(onTick: (nowMs: number) => void) {
    this.onTick = onTick
  }

  get size(): number {
    return this.#entries.size + this.#retries.size
  }

  push(entry: Entry, isRetry: boolean): void {
    ;(isRetry ? this.#retries : this.#entries).set(entry.waiter, entry)
  }

  delete(waiter: Waiter): void {
    this.#entries.delete(waiter)
    this.#retries.delete(waiter)
  }

  shift(): Entry | undefined {
    const from = this.#retries.size > 0 ? this.#retries : this.#entries
    const [entry] = from.values()
    if (entry !== undefined) from.delete(entry.waiter)
    return entry
  }

  takeAll(): readonly Entry[] {
    const all = [...this.#retries.values(), ...this.#entries.values()]
    this.#retries.clear()
    this.#entries.clear()
    return all
  }

  takeExpired(nowMs: number): readonly Entry[] {
    const expired: Entry[] = []
    for (const entries of [this.#retries, this.#entries]) {
      for (const entry of entries.values()) {
        if (entry.deadlineMs > nowMs) break
        entries.delete(entry.waiter)
        expired.push(entry)
      }
    }
    return expired
  }
}

function choose(revision: Revision, preferred: Instance | null, nowMs: number): Instance | null {
  const { concurrency } = revision.route
  if (preferred !== null && preferred.inFlight < concurrency && preferred.isUsable(nowMs)) {
    return preferred
  }
  let best: Instance | null = null
  for (const instance of revision.instances) {
    if (instance.inFlight >= (best?.inFlight ?? concurrency)) continue
    if (instance.isUsable(nowMs)) best = instance
  }
  return best
}

function buildQueueFull(revision: Revision): ErrorBody {
  return {
    code: 'resource_exhausted',
    reason: 'QUEUE_FULL',
    message: `${revision.route.queueLength} requests are waiting for an instance of ${revision.task.name} already`,
    hint: 'Try again in a moment.',
  }
}

function buildLate(revision: Revision): ErrorBody {
  return {
    code: 'deadline_exceeded',
    reason: 'START_TIMEOUT',
    message: `no instance of ${revision.task.name} had room within ${revision.route.startTimeoutMs + GRACE_MS} ms`,
    hint: 'Try again in a moment.',
  }
}
