/** How many instances a revision should have: pure, from what is in flight and what waits. */

import type { ScaleSpec, TrafficShare } from '../core/task.ts'

export interface Load {
  readonly inFlight: number
  /** Requests that wait for an instance. */
  readonly waiting: number
  /** Starting, running or paused. */
  readonly live: number
}

/**
 * Instances to have now; never fewer than there are, because only idleness and people take instances away.
 *
 * @param fixed  what `scale` asked for; null: as `[scale]` says
 */
export function instancesWanted(scale: ScaleSpec, fixed: number | null, load: Load): number {
  if (fixed !== null) return fixed
  const busy = Math.ceil((load.inFlight + load.waiting) / scale.concurrency)
  const wanted = Math.max(scale.min, Math.min(scale.max, busy))
  return Math.max(wanted, Math.min(load.live, scale.max))
}

/**
 * Divides a fixed number of instances among the revisions that share the traffic, by largest remainders. Each gets at
 * least one, since each gets requests: with fewer instances than revisions there are more than asked for.
 *
 * @returns instances by revision number
 */
export function shareInstances(
  instances: number,
  traffic: readonly TrafficShare[],
): ReadonlyMap<number, number> {
  if (instances === 0) return new Map(traffic.map(({ revision }) => [revision, 0]))
  const exact = traffic.map(({ revision, percent }) => {
    const share = (instances * percent) / 100
    return { revision, count: Math.max(1, Math.floor(share)), rest: share - Math.floor(share) }
  })
  let left = instances - exact.reduce((sum, { count }) => sum + count, 0)
  for (const share of exact.toSorted((a, b) => b.rest - a.rest)) {
    if (left <= 0) break
    share.count++
    left--
  }
  // What was raised to one is taken from the largest.
  for (const share of exact.toSorted((a, b) => b.count - a.count)) {
    while (left < 0 && share.count > 1) {
      share.count--
      left++
    }
  }
  return new Map(exact.map(({ revision, count }) => [revision, count]))
}
