/** The one clock that processes of a machine share: CLOCK_MONOTONIC. It never jumps, and it survives our restarts. */

const NS_PER_MS = 1e6

/** Nanoseconds; exact to the microsecond, as a double is at this size. */
export function monotonicNs(): number {
  return Number(process.hrtime.bigint())
}

/** Milliseconds with fractions. Unlike `performance.now()` it may be compared between processes. */
export function monotonicMs(): number {
  return monotonicNs() / NS_PER_MS
}
