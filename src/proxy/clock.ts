/** Time in the proxy: one monotonic clock, and one coarse timer for all deadlines instead of one per request. */

/** `performance.now()` counts from the start of the process, CLOCK_MONOTONIC from that of the machine. */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Translates a time of `performance.now()` into CLOCK_MONOTONIC milliseconds, which other processes understand. */
export function toMonotonicMs(nowMs: number): number {
  return nowMs + OFFSET_MS
}

/** Something that gives up after a while. */
export interface Expiring {
  /** Called about every `TICK_MS`. It may add and remove entries. */
  onTick(nowMs: number): void
}

/** How late a deadline may be noticed. */
export const TICK_MS = 100

/** Everything that may expire. The timer runs only while there is something, so that an idle proxy sleeps. */
export class Deadlines {
  readonly #entries = new Set<Expiring>()
  #timer: NodeJS.Timeout | undefined

  get size(): number {
    return this.#entries.size
  }

  add(entry: Expiring): void {
    this.#entries.add(entry)
    this.#timer ??= setInterval(this.#tick, TICK_MS)
  }

  delete(entry: Expiring): void {
    this.#entries.delete(entry)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#entries.clear()
  }

  readonly #tick = (): void => {
    const nowMs = performance.now()
    for (const entry of this.#entries) entry.onTick(nowMs)
    if (this.#entries.size === 0) this.stop()
  }
}
