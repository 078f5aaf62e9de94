/** Brings the instances of one revision to what is wanted: begins things, and waits for none of them. */

import type { Revision, Task } from '../core/task.ts'

import { instancesWanted, shareInstances } from './demand.ts'
import type { Fleet } from './fleet.ts'
import type { ManagedInstance } from './managed.ts'
import { NO_STDIO } from './planning.ts'

/** What a wake says: requests that wait for a revision, and those that its instances have already. */
export interface Wake {
  readonly waiting: number
  readonly inFlight: number
}

export interface Wanted {
  /** How many there are to be; null: as many as are needed. */
  readonly fixed: number | null
  readonly wake: Wake | undefined
  /** Asked before each start: the one before may have failed already. */
  readonly mayStart: () => boolean
}

/** @returns whether the wake was met: an instance takes requests, and what else is needed was begun */
export function converge(fleet: Fleet, task: Task, revision: Revision, wanted: Wanted): boolean {
  const { fixed, wake } = wanted
  const { scale } = revision.spec
  const counted = fleet.counted(revision.number)
  const count = fleet.countOf(revision.number)
  const inFlight = counted.reduce((sum, managed) => sum + managed.inFlight, 0)
  const number = instancesWanted(scale, fixed, {
    inFlight: Math.max(inFlight, wake?.inFlight ?? 0),
    waiting: wake?.waiting ?? 0,
    live: count,
  })
  for (let missing = number - count; missing > 0 && wanted.mayStart(); missing--) {
    // Its failure is told to those who wait, and kept.
    fleet.start(task, revision, NO_STDIO).catch(() => {})
  }
  if (fixed !== null) retireSurplus(fleet, counted, count - number)
  keepAwake(fleet, counted, fixed ?? scale.min)
  return counted.some(isAwake)
}

/** Whether each revision has its share of a fixed number, awake. */
export function isScaledTo(fleet: Fleet, task: Task, instances: number): boolean {
  const shares = [...shareInstances(instances, task.traffic)]
  return shares.every(
    ([revision, share]) => fleet.counted(revision).filter(isAwake).length === share,
  )
}

/** Takes requests, or may at any moment. */
export function isAwake({ isRoutable, instance }: ManagedInstance): boolean {
  return isRoutable && instance.state === 'running'
}

function retireSurplus(fleet: Fleet, counted: readonly ManagedInstance[], surplus: number): void {
  if (surplus <= 0) return
  const idlest = counted.toSorted((a, b) => a.inFlight - b.inFlight)
  for (const managed of idlest.slice(0, surplus)) void fleet.retire(managed, 'SCALED_DOWN', null)
}

/** Minimum and fixed numbers of instances are not paused. */
function keepAwake(fleet: Fleet, counted: readonly ManagedInstance[], awakeMin: number): void {
  const missing = awakeMin - counted.filter(isAwake).length
  if (missing <= 0) return
  const asleep = counted.filter(({ instance }) => instance.state === 'paused')
  for (const managed of asleep.slice(0, missing)) void fleet.resume(managed)
}
