/**
 * What the proxy tells control about what it does: activity within 100 ms, counters within a second, both only when
 * something changed. What cannot be sent while control is away is said again when it is back, as far as it still holds.
 */

import type { FromProxy, InstanceActivity, TaskCounters } from '../core/link.ts'

import { toMonotonicMs } from './clock.ts'
import type { Fleet, Instance, Task } from './fleet.ts'

const ACTIVITY_MS = 100
const COUNTERS_MS = 1000
/** Tasks, or instances, per message: far below the longest line that control accepts. */
const PER_MESSAGE_MAX = 1000

export class Reports {
  readonly #send: (message: FromProxy) => boolean
  readonly #instances = new Set<Instance>()
  readonly #tasks = new Set<Task>()
  #activityTimer: NodeJS.Timeout | undefined
  #countersTimer: NodeJS.Timeout | undefined

  /** @param send  returns false when control is away */
  constructor(send: (message: FromProxy) => boolean) {
    this.#send = send
  }

  /** What an instance has in flight changed. */
  touch(instance: Instance): void {
    this.#instances.add(instance)
    this.#activityTimer ??= setTimeout(this.#sendActivity, ACTIVITY_MS)
  }

  /** The counters of a task changed. */
  count(task: Task): void {
    this.#tasks.add(task)
    this.#countersTimer ??= setTimeout(this.#sendCounters, COUNTERS_MS)
  }

  /** @returns false when control is away */
  suspect(instance: Instance, message: string): boolean {
    return this.#send({ type: 'suspect', instance: instance.id, message })
  }

  firstByte(instance: Instance, requestId: string, queueMs: number): void {
    const atNs = Math.round(toMonotonicMs(performance.now()) * 1e6)
    this.#send({ type: 'firstByte', instance: instance.id, requestId, queueMs, atNs })
  }

  /** The activity of one instance, before something else is said of it. */
  flush(instance: Instance): void {
    if (!this.#instances.delete(instance)) return
    this.#send({ type: 'activity', instances: [describe(instance)] })
  }

  /** Control is back, and knows nothing of what was said while it was away. */
  repeat(fleet: Fleet): void {
    for (const instance of fleet.instances.values()) this.#instances.add(instance)
    for (const task of fleet.tasks.values()) if (task.isCounted) this.#tasks.add(task)
    this.#sendActivity()
    this.#sendCounters()
  }

  stop(): void {
    clearTimeout(this.#activityTimer)
    clearTimeout(this.#countersTimer)
  }

  readonly #sendActivity = (): void => {
    clearTimeout(this.#activityTimer)
    this.#activityTimer = undefined
    const instances = [...this.#instances].map(describe)
    this.#instances.clear()
    for (const part of chunks(instances)) this.#send({ type: 'activity', instances: part })
  }

  readonly #sendCounters = (): void => {
    clearTimeout(this.#countersTimer)
    this.#countersTimer = undefined
    const changed = [...this.#tasks]
    this.#tasks.clear()
    for (const part of chunks(changed)) {
      const tasks: Record<string, TaskCounters> = {}
      for (const { name, counters } of part) tasks[name] = counters
      this.#send({ type: 'counters', tasks })
    }
  }
}

function* chunks<T>(all: readonly T[]): Iterable<readonly T[]> {
  for (let at = 0; at < all.length; at += PER_MESSAGE_MAX) yield all.slice(at, at + PER_MESSAGE_MAX)
}

function describe(instance: Instance): InstanceActivity {
  return {
    instance: instance.id,
    inFlight: instance.inFlight,
    idleSinceMs: toMonotonicMs(instance.idleSinceMs),
    requests: instance.requests,
  }
}
