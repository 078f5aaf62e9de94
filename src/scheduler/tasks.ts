/** What a task's record says of it. Pure. */

import { QuiverError } from '../core/error.ts'
import type { Task } from '../core/task.ts'

import type { TaskRegistry } from './registry.ts'

/** Whether some are to run even when nobody asks for it. */
export function wantsInstances(task: Task, registry: TaskRegistry): boolean {
  if (task.desired === 'stopped' || task.kind === 'run') return false
  return (task.instances ?? registry.current(task)?.spec.scale.min ?? 0) > 0
}

/**
 * @param verb  what cannot be done with a run
 * @throws QuiverError `failed_precondition/TASK_IS_RUN`
 */
export function assertService(task: Task, verb: string): void {
  if (task.kind === 'service') return
  const message = `${task.name} is a run and cannot be ${verb}`
  throw new QuiverError('failed_precondition', 'TASK_IS_RUN', message, {
    hint: 'Deploy it with "quiver deploy" to have it scaled and routed.',
  })
}
