/** An instance as the scheduler keeps it: the driver's instance and what only the scheduler knows about it. */

import type { ExitReport, Phase } from '../core/instance.ts'
import type { ErrorBody, InstanceActivity } from '../core/link.ts'
import type { Instance } from '../drivers/driver.ts'

export class ManagedInstance {
  readonly instance: Instance
  readonly revision: number
  readonly startKind: 'cold' | 'pooled' | 'restored' = 'cold'
  readonly createdAtMs: number
  /** CLOCK_MONOTONIC milliseconds: when the wake that made it came. */
  readonly wakeAtMs: number
  /** `starting`: not ready yet. `draining`: the proxy was asked to route nothing to it. `retiring`: for good. */
  role: 'starting' | 'serving' | 'draining' | 'retiring' = 'starting'
  /** Resumed or started by the last wake; null until the first. */
  lastWake: 'cold' | 'resumed' | null = null
  isLaunching = false
  /** A request came for it while it was being drained. */
  isWantedBack = false
  inFlight = 0
  requests = 0
  /** CLOCK_MONOTONIC milliseconds. */
  idleSinceMs: number
  readyAtMs: number | undefined
  /** How long the first request waited; undefined before it was answered. */
  queueMs: number | undefined
  exit: ExitReport | null = null
  error: ErrorBody | null = null
  readonly #extraPhases: Phase[] = []

  constructor(
    instance: Instance,
    facts: {
      readonly wakeAtMs: number
      readonly createdAtMs: number
    },
  ) {
    this.instance = instance
    this.revision = instance.plan.revision
    this.createdAtMs = facts.createdAtMs
    this.wakeAtMs = facts.wakeAtMs
    this.idleSinceMs = facts.wakeAtMs
  }

  get id(): string {
    return this.instance.plan.id
  }

  get isLive(): boolean {
    return this.instance.state !== 'exited' && this.instance.state !== 'failed'
  }

  /** The proxy may be told of it. */
  get isRoutable(): boolean {
    return this.role === 'serving' && this.isLive
  }

  /** Counts towards how many instances there are: not those on their way out. */
  get isCounted(): boolean {
    return this.isLive && this.role !== 'retiring'
  }

  /** In order of time; driver's and scheduler's together. */
  get phases(): readonly Phase[] {
    return [...this.#extraPhases, ...this.instance.phases].toSorted((a, b) => a.atNs - b.atNs)
  }

  mark(name: Phase['name'], atNs: number): void {
    if (this.#extraPhases.some((phase) => phase.name === name)) return
    this.#extraPhases.push({ name, atNs })
  }

  /** @param queueMs  how long the first request waited for this instance */
  markFirstByte(queueMs: number, atNs: number): void {
    this.queueMs ??= queueMs
    this.mark('firstByte', atNs)
  }

  observe({ inFlight, idleSinceMs, requests }: InstanceActivity): void {
    this.inFlight = inFlight
    this.requests = requests
    if (inFlight === 0) this.idleSinceMs = Math.max(this.idleSinceMs, idleSinceMs)
  }
}
