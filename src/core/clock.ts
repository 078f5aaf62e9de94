/** Clocks for whatever waits. The wall clock (`Date.now()`) is for people alone: it jumps when it is set. */

const NS_PER_MS = 1e6

/**
 * CLOCK_MONOTONIC, the one clock that processes of a machine share: it never jumps, and it survives our restarts.
 *
 * @returns nanoseconds; exact to the microsecond, as a double is at this size
 */
export function monotonicNs(): number {
  return Number(process.hrtime.bigint())
}

/** Milliseconds with fractions. Unlike `performance.now()` it may be compared between processes. */
export function monotonicMs(): number {
  return monotonicNs() / NS_PER_MS
}

/**
 * Whole milliseconds since the epoch, as the wall clock was when this process began: for times that are also compared with those
 * of earlier processes. However the wall clock is set, it goes on as before.
 */
export function steadyMs(): number {
  return Math.round(performance.timeOrigin + performance.now())
}
