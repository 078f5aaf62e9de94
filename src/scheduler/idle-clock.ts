/** When an instance has been idle for long enough to be paused, or stopped: one timer for each. */

import { monotonicMs } from '../core/clock.ts'

import type { ManagedInstance } from './managed.ts'
import { startTimer } from './timer.ts'

export interface IdleActions {
  /** Asked when the time has come, since much may have changed by then. */
  readonly mayIdle: (managed: ManagedInstance) => boolean
  readonly pause: (managed: ManagedInstance) => void
  readonly stop: (managed: ManagedInstance) => void
}

export class IdleClock {
  readonly #actions: IdleActions
  readonly #timers = new Map<ManagedInstance, Disposable>()

  constructor(actions: IdleActions) {
    this.#actions = actions
  }

  /** (Re)starts the timer from the instance's last activity. */
  set(managed: ManagedInstance): void {
    this.unset(managed)
    if (!managed.isIdleKnown || !isIdle(managed)) return
    const nextMs = nextActionMs(managed)
    if (nextMs === undefined) return
    const delayMs = managed.idleSinceMs + nextMs - monotonicMs()
    this.#timers.set(
      managed,
      startTimer(delayMs, () => this.#fire(managed)),
    )
  }

  unset(managed: ManagedInstance): void {
    this.#timers.get(managed)?.[Symbol.dispose]()
    this.#timers.delete(managed)
  }

  clear(): void {
    for (const timer of this.#timers.values()) timer[Symbol.dispose]()
    this.#timers.clear()
  }

  #fire(managed: ManagedInstance): void {
    this.#timers.delete(managed)
    if (!isIdle(managed)) return
    if (!this.#actions.mayIdle(managed)) return
    const action = dueAction(timesOf(managed), monotonicMs() - managed.idleSinceMs)
    if (action !== undefined) this.#actions[action](managed)
    // A timer counts from the beginning of its turn of the event loop, so it may fire before its time.
    else this.set(managed)
  }
}

/** Idle times after which something happens to an instance; null: never. */
export interface IdleTimes {
  readonly pauseMs: number | null
  readonly stopMs: number | null
}

/** What is to be done after so long without requests; undefined: nothing yet. */
export function dueAction(
  { pauseMs, stopMs }: IdleTimes,
  idleMs: number,
): 'pause' | 'stop' | undefined {
  if (stopMs !== null && idleMs >= stopMs) return 'stop'
  return pauseMs !== null && idleMs >= pauseMs ? 'pause' : undefined
}

function timesOf({ instance }: ManagedInstance): IdleTimes {
  const { pauseAfterMs, stopAfterMs } = instance.plan.spec.scale
  const mayPause = instance.state === 'running' && instance.canPause
  return { pauseMs: mayPause ? pauseAfterMs : null, stopMs: stopAfterMs }
}

function isIdle({ inFlight, role, isLive }: ManagedInstance): boolean {
  return inFlight === 0 && role === 'serving' && isLive
}

/** Idle time until the next thing happens to it; undefined: nothing ever. */
function nextActionMs(managed: ManagedInstance): number | undefined {
  const { pauseMs, stopMs } = timesOf(managed)
  const times = [pauseMs, stopMs].filter((ms) => ms !== null)
  return times.length === 0 ? undefined : Math.min(...times)
}
