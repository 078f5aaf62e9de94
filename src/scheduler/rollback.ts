/** To which revision a task goes back. Pure. */

import { QuiverError } from '../core/error.ts'
import type { Task } from '../core/task.ts'

import type { TaskRegistry } from './registry.ts'

/** @throws QuiverError `failed_precondition/NO_PREVIOUS_REVISION` */
export function rollbackTarget(task: Task): number {
  // While two revisions share the traffic, going back means the first.
  if (task.traffic.length > 1) return task.traffic[0]?.revision ?? 0
  if (task.previous !== null) return task.previous
  throw new QuiverError(
    'failed_precondition',
    'NO_PREVIOUS_REVISION',
    `${task.name} has no earlier revision`,
    {
      hint: 'Deploy a second one first.',
    },
  )
}

export function revisionNotFound(
  name: string,
  number: number,
  registry: TaskRegistry,
): QuiverError {
  const kept = [...registry.revisions(name).keys()].join(', ')
  return new QuiverError('not_found', 'REVISION_NOT_FOUND', `${name} has no revision ${number}`, {
    hint: `Kept are: ${kept}.`,
  })
}
