/** Time in the proxy: one monotonic clock, and one coarse timer for all deadlines instead of one per request. */

/** `performance.now()` counts from the start of the process, CLOCK_MONOTONIC from that of the machine. */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Translates a time of `performance.now()` into CLOCK_MONOTONIC milliseconds, which other processes understand. */
export function toMonotonicMs(nowMs: number): number {
  return nowMs + OFFSET_MS
}

/** Something that gives up after a while. */
export interface Expiring {
  /** Its place among the deadlines, theirs to change; -1: it has none. */
  deadlineIndex: number
  /** Called about every `TICK_MS`. It may add and remove entries. */
  onTick(nowMs: number): void
}

/** How late a deadline may be noticed. */
export const TICK_MS = 100

/**
 * Everything that may expire. The timer runs only while there is something, so that an idle proxy sleeps.
 *
 * An array in no order, not a Set: one that changes with each request is copied every few dozen of them, and what its
 * old copies refer to, which is all requests, lives until the next full collection.
 */
export class Deadlines {
  readonly #entries: Expiring[] = []
  #timer: NodeJS.Timeout | undefined

  get size(): number {
    return this.#entries.length
  }

  add(entry: Expiring): void {
    if (entry.deadlineIndex !== -1) return
    entry.deadlineIndex = this.#entries.length
    this.#entries.push(entry)
    this.#timer ??= setInterval(this.#tick, TICK_MS)
  }

  delete(entry: Expiring): void {
    const index = entry.deadlineIndex
    if (index === -1) return
    entry.deadlineIndex = -1
    const last = this.#entries.pop()
    if (last === undefined || last === entry) return
    last.deadlineIndex = index
    this.#entries[index] = last
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    for (const entry of this.#entries.splice(0)) entry.deadlineIndex = -1
  }

  /** Backwards: what takes the place of a removed entry was asked already. */
  readonly #tick = (): void => {
    const nowMs = performance.now()
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      this.#entries[index]?.onTick(nowMs)
    }
    if (this.#entries.length === 0) this.stop()
  }
}
