/** Says what was denied, without letting an instance that tries in a loop flood the log or the link. */

import type { QuiverError } from '../core/error.ts'
import type { FromEgress } from '../core/link.ts'

export interface ReporterOptions {
  readonly log: (line: string) => void
  readonly send: (message: FromEgress) => void
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** The same instance, target and reason are said once in this time. */
const REPEAT_AFTER_MS = 10_000
/** Different ones remembered; while there are more, new ones are counted but not said. */
const REMEMBERED_MAX = 4096

export class Reporter {
  readonly #options: ReporterOptions
  /** When each was said last, oldest first. */
  readonly #saidAtMs = new Map<string, number>()
  #suppressed = 0

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  /** @param target  `name:port` */
  deny(instance: string, target: string, error: QuiverError): void {
    if (!this.#isNews(`${instance} ${target} ${error.reason}`)) return
    this.#log(`${instance} may not reach ${target}: ${error.message} (${error.reason})`)
    this.#options.send({ type: 'denied', instance, target, reason: error.reason })
  }

  /** A remark that belongs to no instance. */
  remark(message: string): void {
    if (this.#isNews(message)) this.#log(message)
  }

  #log(text: string): void {
    const more = this.#suppressed > 0 ? ` (and ${this.#suppressed} others, not shown)` : ''
    this.#suppressed = 0
    this.#options.log(`${text}${more}`)
  }

  #isNews(key: string): boolean {
    const nowMs = this.#options.now()
    for (const [old, atMs] of this.#saidAtMs) {
      if (nowMs - atMs < REPEAT_AFTER_MS) break
      this.#saidAtMs.delete(old)
    }
    if (this.#saidAtMs.has(key) || this.#saidAtMs.size >= REMEMBERED_MAX) {
      this.#suppressed++
      return false
    }
    this.#saidAtMs.set(key, nowMs)
    return true
  }
}
