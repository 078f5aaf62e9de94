/** How long to leave a task alone that keeps failing: pure arithmetic over its last failures. */

const FIRST_MS = 1000
const MAX_MS = 60_000
/** An instance that lived this long after it was ready is no part of a crash loop. */
export const STEADY_MS = 10_000

/** `start`: it never became ready. `crash`: it ended while it served. */
export type FailureKind = 'start' | 'crash'

/**
 * Failures in a row that are followed by another try at once. A start that failed says that the next one will; a crash
 * may be the fault of one request, and the next request deserves an instance.
 */
const FORGIVEN: Readonly<Record<FailureKind, number>> = { start: 1, crash: 3 }

export interface BackOff {
  /** Failures in a row. */
  readonly failures: number
  /** No start before this time, in milliseconds of CLOCK_MONOTONIC: jumps of the wall clock do not matter. */
  readonly untilMs: number
}

export const NO_BACK_OFF: BackOff = { failures: 0, untilMs: 0 }

/** Doubles from a second to a minute. */
export function afterFailure(before: BackOff, kind: FailureKind, nowMs: number): BackOff {
  const failures = before.failures + 1
  const unforgiven = failures - FORGIVEN[kind]
  if (unforgiven <= 0) return { failures, untilMs: before.untilMs }
  return { failures, untilMs: nowMs + Math.min(MAX_MS, FIRST_MS * 2 ** (unforgiven - 1)) }
}
