/**
 * Pauses and stops what is idle, and brings it back. The proxy is asked first, and whoever wants the instance meanwhile
 * gets it: between any two steps here a request, a stop or an end may come.
 */

import { monotonicMs } from '../core/clock.ts'
import type { NodeBridge } from '../drivers/bridge.ts'

import type { DataPlane } from './data-plane.ts'
import type { NewEvent } from './events.ts'
import { IdleClock } from './idle-clock.ts'
import type { ManagedInstance } from './managed.ts'

export interface IdlingParts {
  readonly dataPlane: DataPlane
  /** Where instances are busy without the proxy. */
  readonly bridge: Pick<NodeBridge, 'packetsFrom'>
  /** Whether it may be paused or stopped when it is idle. */
  readonly mayIdle: (managed: ManagedInstance) => boolean
  readonly onChange: () => void
  readonly onEvent: (managed: ManagedInstance, event: NewEvent) => void
}

export class Idling {
  readonly #parts: IdlingParts
  readonly #clock: IdleClock

  constructor(parts: IdlingParts) {
    this.#parts = parts
    this.#clock = new IdleClock({
      mayIdle: parts.mayIdle,
      pause: (managed) => void this.#pause(managed),
      stop: (managed) => void this.#stop(managed),
    })
  }

  /** The clock of an instance starts again from its last activity. */
  watch(managed: ManagedInstance): void {
    this.#clock.set(managed)
  }

  unwatch(managed: ManagedInstance): void {
    this.#clock.unset(managed)
  }

  clear(): void {
    this.#clock.clear()
  }

  /** Unfreezes a paused instance; one that is about to be paused is kept from it. */
  async resume(managed: ManagedInstance): Promise<void> {
    if (managed.role === 'draining') managed.isWantedBack = true
    if (!managed.isRoutable || managed.instance.state !== 'paused') return
    await managed.instance.resume()
    managed.lastWake = 'resumed'
    managed.idleSinceMs = monotonicMs()
    this.#parts.onEvent(managed, {
      type: 'instanceResumed',
      message: `${managed.id} was resumed`,
    })
    this.#clock.set(managed)
    this.#parts.onChange()
  }

  async #pause(managed: ManagedInstance): Promise<void> {
    if (!(await this.#drain(managed))) return
    await managed.instance.pause()
    if (managed.role !== 'draining') return
    managed.role = 'serving'
    if (managed.instance.state !== 'paused') {
      // It could not be frozen: it goes on, and is tried again when it has been idle for as long again.
      this.#serveAgain(managed)
      return
    }
    this.#parts.onEvent(managed, {
      type: 'instancePaused',
      message: `${managed.id} is idle and was paused`,
    })
    if (managed.isWantedBack) {
      await this.resume(managed)
      return
    }
    this.#parts.onChange()
    this.#clock.set(managed)
  }

  async #stop(managed: ManagedInstance): Promise<void> {
    // A paused instance gets no requests: there is nothing to ask the proxy.
    const isPaused = managed.instance.state === 'paused'
    if (!isPaused && !(await this.#drain(managed))) return
    managed.role = 'retiring'
    this.#parts.onChange()
    await managed.instance.stop('IDLE', managed.instance.plan.spec.limits.stopTimeoutMs)
  }

  /** True when the proxy routes nothing more to it and nobody has asked for it meanwhile. */
  async #drain(managed: ManagedInstance): Promise<boolean> {
    if (await this.#hasSpoken(managed)) return false
    managed.role = 'draining'
    managed.isWantedBack = false
    const { idleSinceMs } = managed
    const answer = await this.#parts.dataPlane.drain(managed.id, 'idle')
    if (managed.role !== 'draining' || !managed.isLive) return false
    // What the proxy says first is its last activity: a request may have come and gone that was not told of yet.
    const isIdle = answer === 'drained' && managed.idleSinceMs === idleSinceMs
    if (isIdle && !managed.isWantedBack) return true
    managed.role = 'serving'
    this.#serveAgain(managed)
    return false
  }

  /**
   * Whether it has said something on the bridge since this was asked the last time: who answers a neighbour is not idle. Its
   * clock starts again then.
   */
  async #hasSpoken(managed: ManagedInstance): Promise<boolean> {
    const { plan } = managed.instance
    if (plan.bridge === undefined) return false
    const packets = await this.#parts.bridge.packetsFrom(plan).catch(() => managed.packetsKnown)
    const hasSpoken = packets !== managed.packetsKnown
    managed.packetsKnown = packets
    if (managed.role !== 'serving' || !managed.isLive) return true
    if (hasSpoken) this.#serveAgain(managed)
    return hasSpoken
  }

  #serveAgain(managed: ManagedInstance): void {
    managed.idleSinceMs = monotonicMs()
    this.#parts.onChange()
    this.#clock.set(managed)
  }
}
