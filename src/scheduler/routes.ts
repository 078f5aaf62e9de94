/** What the proxy is told about a task: pure, from the task and its instances. */

import type { InstanceRoute, RevisionRoute, TaskRoute } from '../core/link.ts'
import type { Revision, Task, TrafficShare } from '../core/task.ts'

import type { ManagedInstance } from './managed.ts'

/** Other tasks call a module that has no routes, too; its executor chose the port already. */
const MODULE_PORT = 80

export function buildTaskRoute(
  task: Task,
  revisions: ReadonlyMap<number, Revision>,
  instances: Iterable<ManagedInstance>,
): TaskRoute {
  const all = [...instances]
  const shares = task.traffic.flatMap((share) => {
    const revision = revisions.get(share.revision)
    return revision === undefined ? [] : [buildRevisionRoute(share, revision, all)]
  })
  const current = revisions.get(task.traffic[0]?.revision ?? 0)?.spec
  const ports = current?.ports ?? []
  return {
    task: task.name,
    routes: current?.http?.routes ?? [],
    sticky: current?.http?.sticky ?? 'none',
    publish: ports.flatMap(({ port, publish }) =>
      publish === null ? [] : [{ address: publish.address, hostPort: publish.port, port }],
    ),
    refusal: task.desired === 'on' ? null : stoppedRefusal(task.name),
    revisions: shares,
  }
}

function buildRevisionRoute(
  { percent }: TrafficShare,
  { number, spec }: Revision,
  instances: readonly ManagedInstance[],
): RevisionRoute {
  const { limits, scale } = spec
  return {
    revision: number,
    percent,
    httpPort: spec.http?.port ?? (spec.isolation === 'wasm' ? MODULE_PORT : null),
    concurrency: scale.concurrency,
    requestTimeoutMs: limits.requestTimeoutMs,
    startTimeoutMs: limits.startTimeoutMs,
    queueLength: limits.queueLength,
    bodyBytes: limits.bodyBytes,
    instances: instances
      .filter((managed) => managed.revision === number && managed.isRoutable)
      .map(instanceRoute),
  }
}

function instanceRoute({ instance, startKind }: ManagedInstance): InstanceRoute {
  const state = instance.state === 'paused' ? 'paused' : 'running'
  return { id: instance.plan.id, state, endpoint: instance.endpoint, startKind }
}

function stoppedRefusal(task: string) {
  return {
    code: 'unavailable',
    reason: 'TASK_STOPPED',
    message: `the task ${task} is stopped`,
    hint: `Its owner can start it with "quiver start ${task}".`,
    retryAfterS: 30,
  } as const
}
