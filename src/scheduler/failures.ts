/** What went wrong with a task lately, and until when it is left alone because of that. */

import { monotonicMs } from '../core/clock.ts'
import type { ErrorBody } from '../core/link.ts'

import { afterFailure, NO_BACK_OFF, type BackOff, type FailureKind } from './back-off.ts'
import type { EventLog } from './events.ts'

export interface Failure extends ErrorBody {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly revision: number
  readonly instance: string | null
}

const KEPT_MAX = 10

export class FailureLog {
  readonly #task: string
  readonly #events: EventLog
  readonly #onRetry: () => void
  #kept: readonly Failure[] = []
  #backOff: BackOff = NO_BACK_OFF
  #retry: NodeJS.Timeout | undefined

  /** @param onRetry  called when a back-off is over */
  constructor(task: string, events: EventLog, onRetry: () => void) {
    this.#task = task
    this.#events = events
    this.#onRetry = onRetry
  }

  /** Newest first. */
  get list(): readonly Failure[] {
    return this.#kept
  }

  /** Failures since it last went well. */
  get inRow(): number {
    return this.#backOff.failures
  }

  /** Milliseconds until the next start; 0: now. */
  get waitMs(): number {
    return Math.max(0, this.#backOff.untilMs - monotonicMs())
  }

  /** What whoever meets the failure can do. */
  get hint(): string {
    if (this.waitMs === 0) return 'Try again: the next request starts a new instance.'
    return `It fails again and again: the next try is in ${Math.ceil(this.waitMs / 1000)} s. Its owner sees why with "quiver describe ${this.#task}".`
  }

  /** Why nothing is started now; undefined when it may be. */
  get refusal(): ErrorBody | undefined {
    const [failure] = this.#kept
    if (this.waitMs === 0 || failure === undefined) return undefined
    const { code, reason, message, hint = this.hint } = failure
    return { code, reason, message, hint }
  }

  add(kind: FailureKind, error: ErrorBody, where: Pick<Failure, 'revision' | 'instance'>): void {
    const failure: Failure = { ...error, ...where, atMs: Date.now() }
    this.#kept = [failure, ...this.#kept].slice(0, KEPT_MAX)
    this.#backOff = afterFailure(this.#backOff, kind, monotonicMs())
    this.#arm()
    if (this.waitMs === 0) return
    const waitS = Math.round(this.waitMs / 1000)
    this.#events.emit({
      type: 'backingOff',
      task: this.#task,
      revision: where.revision,
      reason: error.reason,
      message: `${this.#task} failed ${this.inRow} times in a row; next try in ${waitS} s`,
    })
  }

  /** It went well for long enough, or a person has changed something. */
  forgive(): void {
    this.#backOff = NO_BACK_OFF
    clearTimeout(this.#retry)
  }

  /** Retries nothing any more. */
  close(): void {
    clearTimeout(this.#retry)
  }

  #arm(): void {
    clearTimeout(this.#retry)
    if (this.waitMs === 0) return
    this.#retry = setTimeout(() => {
      // A timer may fire a moment before its time.
      if (this.waitMs > 0) this.#arm()
      else this.#onRetry()
    }, Math.ceil(this.waitMs))
    this.#retry.unref()
  }
}
