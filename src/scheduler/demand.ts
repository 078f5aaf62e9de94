/** How many instances a revision should have: pure, from what is in flight and what waits. */

import type { ScaleSpec } from '../core/task.ts'

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
