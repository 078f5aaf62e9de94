/** When an instance has been idle for long enough to be paused, or stopped: one timer for each. */

import { monotonicMs } from '../core/clock.ts'

import type { ManagedInstance } from './managed.ts'

export interface IdleActions {
  /** Asked when the time has come, since much may have changed by then. */
  readonly mayIdle: (managed: ManagedInstance) => boolean
  readonly pause: (managed: ManagedInstance) => void
  readonly stop: (managed: ManagedInstance) => void
}

export class IdleClock {
  readonly #actions: IdleActions
  readonly #timers = new Map<ManagedInstance, NodeJS.Timeout>()

  constructor(actions: IdleActions) {
    this.#actions = actions
  }

  /** (Re)starts the timer from the instance's last activity. */
  set(managed: ManagedInstance): void {
    this.unset(managed)
    if (!managed.isIdleKnown || !isIdle(managed)) return
    const nextMs = nextActionMs(managed)
    if (nextMs === undefined) return
    const delayMs = Math.max(0, managed.idleSinceMs + nextMs - monotonicMs())
    this.#timers.set(
      managed,
      setTimeout(() => this.#fire(managed), delayMs),
    )
  }

  unset(managed: ManagedInstance): void {
    clearTimeout(this.#timers.get(managed))
    this.#timers.delete(managed)
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #fire(managed: ManagedInstance): void {
    this.#timers.delete(managed)
    if (!isIdle(managed)) return
    if (!this.#actions.mayIdle(managed)) return
    const { stopAfterMs } = managed.instance.plan.spec.scale
    const idleMs = monotonicMs() - managed.idleSinceMs
    if (stopAfterMs !== null && idleMs >= stopAfterMs - 1) this.#actions.stop(managed)
    else if (managed.instance.state === 'running' && managed.instance.canPause)
      this.#actions.pause(managed)
  }
}

function isIdle({ inFlight, role, isLive }: ManagedInstance): boolean {
  return inFlight === 0 && role === 'serving' && isLive
}

/** Idle time until the next thing happens to it; undefined: nothing ever. */
function nextActionMs({ instance }: ManagedInstance): number | undefined {
  const { pauseAfterMs, stopAfterMs } = instance.plan.spec.scale
  if (instance.state === 'paused') return stopAfterMs ?? undefined
  const times = [instance.canPause ? pauseAfterMs : null, stopAfterMs].filter((ms) => ms !== null)
  return times.length === 0 ? undefined : Math.min(...times)
}
