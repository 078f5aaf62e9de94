/** How long to leave a task alone that keeps failing: pure arithmetic over its last failures. */

const FIRST_MS = 1000
const MAX_MS = 60_000
/** An instance that lived this long after it was ready is no part of a crash loop. */
export const STEADY_MS = 10_000

export interface BackOff {
  /** Failures in a row. */
  readonly failures: number
  /** No start before this time, in milliseconds since the epoch. */
  readonly untilMs: number
}

export const NO_BACK_OFF: BackOff = { failures: 0, untilMs: 0 }

/** Doubles from a second to a minute; the first failure is forgiven. */
export function afterFailure(before: BackOff, nowMs: number): BackOff {
  const failures = before.failures + 1
  const waitMs = failures === 1 ? 0 : Math.min(MAX_MS, FIRST_MS * 2 ** (failures - 2))
  return { failures, untilMs: nowMs + waitMs }
}
