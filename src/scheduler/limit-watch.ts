/**
 * Notices when a live instance meets one of its limits: forks that were refused, processes that were killed for memory, what
 * a driver tells of its own accord.
 *
 * The kernel counts these and, with version 1 control groups, tells nobody. So they are looked up a second after an
 * instance did something, and at its end; an instance that does nothing costs nothing.
 */

import type { LimitMet, Usage } from '../core/instance.ts'

import type { NewEvent } from './events.ts'
import type { ManagedInstance } from './managed.ts'

const LOOK_AFTER_MS = 1000

export class LimitWatch {
  readonly #tell: (managed: ManagedInstance, event: NewEvent) => void
  readonly #timers = new Map<ManagedInstance, NodeJS.Timeout>()
  readonly #told = new WeakMap<ManagedInstance, Set<string>>()

  /** @param tell  called once for each instance and limit */
  constructor(tell: (managed: ManagedInstance, event: NewEvent) => void) {
    this.#tell = tell
  }

  /** The instance did something. */
  touch(managed: ManagedInstance): void {
    if (this.#timers.has(managed)) return
    const timer = setTimeout(() => void this.look(managed), LOOK_AFTER_MS)
    timer.unref()
    this.#timers.set(managed, timer)
  }

  async look(managed: ManagedInstance): Promise<void> {
    clearTimeout(this.#timers.get(managed))
    this.#timers.delete(managed)
    const usage = await managed.instance.usage()
    for (const event of breaches(managed, usage)) this.#tellOnce(managed, event)
  }

  /** A driver told of one. */
  met(managed: ManagedInstance, { error }: LimitMet): void {
    const { reason, message } = error
    this.#tellOnce(managed, { type: 'limitReached', reason, message: `${managed.id}: ${message}` })
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #tellOnce(managed: ManagedInstance, event: NewEvent): void {
    const told = this.#told.get(managed) ?? new Set()
    this.#told.set(managed, told)
    const { reason } = event
    if (typeof reason !== 'string' || told.has(reason)) return
    told.add(reason)
    this.#tell(managed, event)
  }
}

function breaches({ id, instance }: ManagedInstance, usage: Usage): readonly NewEvent[] {
  const { limits } = instance.plan.spec
  const found: NewEvent[] = []
  if (usage.pidsRefused > 0) {
    const message = `${id} reached limits.pids (${limits.pids}): it got no further processes or threads`
    found.push({ type: 'limitReached', reason: 'PIDS', message })
  }
  if (usage.oomKills > 0) {
    const message = `${id} reached limits.memory (${limits.memoryBytes / 1024 ** 2} MiB): the kernel ended a process of it`
    found.push({ type: 'limitReached', reason: 'OUT_OF_MEMORY', message })
  }
  return found
}
