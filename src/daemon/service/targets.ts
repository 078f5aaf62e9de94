/** Which instance is meant by what people type, and how it is made ready for them. */

import { QuiverError } from '../../core/error.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'

import type { ServiceParts } from './parts.ts'

/** An instance by its id, or the newest live one of a task; the newest at all when none lives. */
export function findTarget(target: string, { scheduler }: ServiceParts): ManagedInstance {
  const task = scheduler.registry.get(target)
  if (task === undefined && target.includes('-')) return scheduler.findInstance(target)
  const [newest] =
    scheduler.findController(scheduler.registry.require(target).name)?.instances ?? []
  if (newest !== undefined) return newest
  throw new QuiverError('failed_precondition', 'NOT_RUNNING', `${target} has no instance`, {
    hint: `Start one with "quiver start ${target}".`,
  })
}

/** As `findTarget`, but a task that sleeps is woken, and what is paused is resumed. */
export async function wakeTarget(
  target: string,
  parts: ServiceParts,
  signal: AbortSignal,
): Promise<ManagedInstance> {
  const { scheduler } = parts
  const task = scheduler.registry.get(target)
  if (task?.kind === 'service') {
    const live = scheduler.findController(target)?.instances.some(({ isRoutable }) => isRoutable)
    if (live !== true) await scheduler.start(target, signal)
  }
  const managed = findTarget(target, parts)
  await scheduler.controller(managed.instance.plan.task).resume(managed)
  return managed
}
