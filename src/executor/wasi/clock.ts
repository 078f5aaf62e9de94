/** What time it is for a guest. Tests give it another clock. */

import { CLOCK } from './abi.ts'
import { ERRNO, fail } from './errno.ts'

export interface GuestClock {
  /** Since 1970. */
  realtimeNs(): bigint
  monotonicNs(): bigint
  /** Used by the thread that the guest runs on. */
  cpuNs(): bigint
  /** The steps in which `realtimeNs` advances; the other two advance in nanoseconds. */
  readonly realtimeResolutionNs: bigint
}

export const SYSTEM_CLOCK: GuestClock = {
  realtimeNs: () => BigInt(Date.now()) * 1_000_000n,
  monotonicNs: () => process.hrtime.bigint(),
  cpuNs: () => {
    const { user, system } = process.threadCpuUsage()
    return BigInt(user + system) * 1000n
  },
  realtimeResolutionNs: 1_000_000n,
}

/** Throws `INVAL` for a clock that does not exist. */
export function timeOf(clock: GuestClock, id: number): bigint {
  switch (id) {
    case CLOCK.REALTIME:
      return clock.realtimeNs()
    case CLOCK.MONOTONIC:
      return clock.monotonicNs()
    case CLOCK.PROCESS_CPUTIME:
    case CLOCK.THREAD_CPUTIME:
      return clock.cpuNs()
    default:
      return fail(ERRNO.INVAL)
  }
}

/** Throws `INVAL` for a clock that does not exist. */
export function resolutionOf(clock: GuestClock, id: number): bigint {
  switch (id) {
    case CLOCK.REALTIME:
      return clock.realtimeResolutionNs
    case CLOCK.MONOTONIC:
      return 1n
    case CLOCK.PROCESS_CPUTIME:
    case CLOCK.THREAD_CPUTIME:
      return 1000n
    default:
      return fail(ERRNO.INVAL)
  }
}
