/** An instance as the scheduler keeps it: the driver's instance and what only the scheduler knows about it. */

import type { ExitReport, Phase } from '../core/instance.ts'
import type { ErrorBody, InstanceActivity } from '../core/link.ts'
import type { Instance } from '../drivers/driver.ts'

import { writeStory, type Story } from './story.ts'

export class ManagedInstance {
  readonly instance: Instance
  readonly revision: number
  /** Counts the instances of its task, also over restarts of control: orders them, whatever the wall clock says. */
  readonly sequence: number
  readonly createdAtMs: number
  /** CLOCK_MONOTONIC milliseconds: when the wake that made it came. */
  readonly wakeAtMs: number
  /** `starting`: not ready yet. `draining`: the proxy was asked to route nothing to it. `retiring`: for good. */
  role: 'starting' | 'serving' | 'draining' | 'retiring' = 'starting'
  /** Resumed or started by the last wake; null until the first. */
  lastWake: 'cold' | 'resumed' | null = null
  isLaunching = false
  /** A successor is being started, which counts in its place. */
  isReplaced = false
  /** People who are inside: it is not idle. */
  sessions = 0
  /** Once retiring: ends when the proxy has nothing more there. */
  drained: Promise<unknown> | undefined
  /** A request came for it while it was being drained. */
  isWantedBack = false
  inFlight = 0
  /** That it had sent on the bridge when it was last idle. */
  packetsKnown = 0
  /** CLOCK_MONOTONIC milliseconds: when it was last told that it could not be reached. */
  suspectedAtMs = -Infinity
  requests = 0
  /** CLOCK_MONOTONIC milliseconds. */
  idleSinceMs: number
  /** False for what was adopted, until the proxy has said how long it has been idle. */
  isIdleKnown = true
  readyAtMs: number | undefined
  /** How long the first request waited; undefined before it was answered. */
  queueMs: number | undefined
  exit: ExitReport | null = null
  /** Whoever wants to know of its end was told, perhaps by an earlier control process. */
  isEndTold = false
  error: ErrorBody | null = null
  #extraPhases: readonly Phase[] = []
  #saved: Promise<void> = Promise.resolve()

  constructor(
    instance: Instance,
    facts: {
      readonly sequence: number
      readonly wakeAtMs: number
      readonly createdAtMs: number
    },
  ) {
    this.instance = instance
    this.revision = instance.plan.revision
    this.sequence = facts.sequence
    this.createdAtMs = facts.createdAtMs
    this.wakeAtMs = facts.wakeAtMs
    this.idleSinceMs = facts.wakeAtMs
  }

  /** Known once it runs. */
  get startKind(): 'cold' | 'restored' {
    return this.instance.phases.some(({ name }) => name === 'restore') ? 'restored' : 'cold'
  }

  get id(): string {
    return this.instance.plan.id
  }

  get isLive(): boolean {
    return this.instance.state !== 'exited' && this.instance.state !== 'failed'
  }

  /** The proxy may be told of it. */
  get isRoutable(): boolean {
    return this.role === 'serving' && this.isLive && !this.instance.isEnding
  }

  /** Counts towards how many instances there are: not those on their way out. */
  get isCounted(): boolean {
    return this.isLive && this.role !== 'retiring' && !this.isReplaced
  }

  /** In order of time; driver's and scheduler's together. */
  get phases(): readonly Phase[] {
    const { phases } = this.instance
    const isNew = ({ name }: Phase) => phases.every((phase) => phase.name !== name)
    return [...this.#extraPhases.filter(isNew), ...phases].toSorted((a, b) => a.atNs - b.atNs)
  }

  mark(name: Phase['name'], atNs: number): void {
    if (this.#extraPhases.some((phase) => phase.name === name)) return
    this.#extraPhases = [...this.#extraPhases, { name, atNs }]
  }

  /**
   * Part of the start only where a request waited for it: an instance that was started ahead answers its first one later.
   *
   * @param queueMs  how long the first request waited for this instance
   */
  markFirstByte(queueMs: number, atNs: number): void {
    this.queueMs ??= queueMs
    if (queueMs > 0 && this.lastWake === 'cold') this.mark('firstByte', atNs)
  }

  observe({ inFlight, idleSinceMs, requests }: InstanceActivity): void {
    this.inFlight = inFlight
    this.requests = requests
    this.isIdleKnown = true
    if (inFlight === 0) this.idleSinceMs = Math.max(this.idleSinceMs, idleSinceMs)
  }

  /** Goes on with what an earlier control process knew. */
  recall(story: Story): void {
    this.readyAtMs = story.readyAtMs ?? undefined
    this.queueMs = story.queueMs ?? undefined
    this.lastWake = story.lastWake
    this.requests = story.requests
    this.error = story.error
    this.isEndTold = story.isEndTold
    this.#extraPhases = story.phases
  }

  /** Begins to write down what a later control process could not find out. */
  save(): void {
    const { sequence, createdAtMs, wakeAtMs, readyAtMs = null, queueMs = null } = this
    const { lastWake, error, isEndTold, requests, phases } = this
    const story: Story = {
      sequence,
      createdAtMs,
      wakeAtMs,
      readyAtMs,
      queueMs,
      lastWake,
      requests,
      phases,
      error,
      isEndTold,
    }
    this.#saved = this.#saved.then(() => writeStory(this.instance.folder, story))
  }

  /** Deletes what an instance that has ended left. */
  async remove(): Promise<void> {
    await this.#saved
    await this.instance.remove()
  }
}
