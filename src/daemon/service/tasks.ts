/** The control service's tasks and services: deploy, describe, scale and the rest, as the API shows them. */

import type {
  AddressView,
  DeployDifference,
  DeployRequest,
  DeployResult,
  ServiceView,
  TaskDetail,
  TaskView,
} from '../../api/resources.ts'
import type { TaskControl } from '../../api/service.ts'
import { canonicalJson } from '../../core/digest.ts'
import type { Revision, Task, TaskSpec } from '../../core/task.ts'
import { compareTrees } from '../../images/difference.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'

import { logTail } from './logs.ts'
import { buildSpec } from './overrides.ts'
import { httpPort, type ServiceParts } from './parts.ts'
import {
  taskState,
  urlsOf,
  viewAddress,
  viewFailure,
  viewInstance,
  viewPublish,
  viewRevision,
} from './views.ts'

const ERROR_LOG_LINES = 20

export function buildTaskControl(parts: ServiceParts): TaskControl {
  const { scheduler } = parts
  const { registry } = scheduler
  return {
    listTasks: async () => {
      const tasks = registry.list().toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const port = await httpPort(parts.config.runFolder)
      return await Promise.all(tasks.map((task) => viewTask(task, parts, port)))
    },
    getTask: (name) => describe(name, parts),
    deploy: (request) => deploy(request, parts),
    difference: (request) => difference(request, parts),
    promote: async (name) => {
      await scheduler.promote(name)
      return await describe(name, parts)
    },
    rollback: async (name, revision) => {
      await scheduler.rollback(name, revision)
      return await describe(name, parts)
    },
    scale: async (name, instances, signal) => {
      await scheduler.scale(name, instances, signal)
      return await describe(name, parts)
    },
    stopTask: async (name) => {
      await scheduler.stop(name)
      return await describe(name, parts)
    },
    startTask: async (name, signal) => {
      await scheduler.start(name, signal)
      return await describe(name, parts)
    },
    restartTask: async (name) => {
      await scheduler.restart(name)
      return await describe(name, parts)
    },
    removeTask: (name) => scheduler.remove(name),
    getService: (name, waitMs, signal) => awaitService(name, waitMs, signal, parts),
    listServices: async () => {
      const port = await httpPort(parts.config.runFolder)
      return registry
        .list()
        .filter(({ kind }) => kind === 'service')
        .map((task) => viewService(task, parts, port))
    },
  }
}

async function deploy(request: DeployRequest, parts: ServiceParts): Promise<DeployResult> {
  const { scheduler, images, config, dataPlane } = parts
  const image = await images.getImage(request.image)
  const spec = buildSpec(image.config, request, config.domain)
  const outcome = await scheduler.deploy({
    spec,
    image: request.image,
    trafficPercent: request.trafficPercent ?? 100,
    kind: 'service',
  })
  return {
    task: spec.name,
    revision: outcome.revision.number,
    image: request.image,
    imageBytes: image.bytes,
    urls: urlsOf(spec, await httpPort(config.runFolder)),
    publish: viewPublish(spec, (address, port) => dataPlane.publishFailure(address, port)),
    addresses: addressesOf(spec, scheduler),
    isUnchanged: outcome.isUnchanged,
    isNew: outcome.isNew,
    timings: outcome.timings,
  }
}

async function difference(request: DeployRequest, parts: ServiceParts): Promise<DeployDifference> {
  const { scheduler, images, config } = parts
  const image = await images.getImage(request.image)
  const spec = buildSpec(image.config, request, config.domain)
  const task = scheduler.registry.get(spec.name)
  const current = task === undefined ? undefined : scheduler.registry.current(task)
  const before = current === undefined ? undefined : await images.getImage(current.image)
  const changes = compareValues(current?.spec, spec)
  const files = compareTrees(before?.config.tree ?? [], image.config.tree)
  const { addresses } = scheduler
  using assigned = await addresses.assign(spec, 'service', task?.instances ?? null)
  const own = addresses.list(spec, assigned.record.bridgePlaces)
  return {
    task: spec.name,
    isNew: task === undefined,
    isUnchanged: changes.length === 0 && current?.image === request.image,
    revision: current?.number ?? null,
    addresses: own.map((one) => viewAddress(spec, one)),
    changes,
    files: files.map(({ path, change }) => ({ path, change })),
  }
}

/** What instances of a task may have on the bridge. */
export function addressesOf(
  spec: TaskSpec,
  { addresses, registry }: ServiceParts['scheduler'],
): readonly AddressView[] {
  const places = registry.get(spec.name)?.bridgePlaces
  return addresses.list(spec, places).map((one) => viewAddress(spec, one))
}

/** Leaves that differ, by dotted path. */
function compareValues(before: unknown, after: unknown): DeployDifference['changes'] {
  const [old, fresh] = [flatten(before), flatten(after)]
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].toSorted()
  return paths
    .filter((path) => old.get(path) !== fresh.get(path))
    .map((path) => ({ path, before: old.get(path) ?? null, after: fresh.get(path) ?? null }))
}

function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const isBranch = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isBranch) {
    if (value !== undefined) into.set(path, canonicalJson(value))
    return into
  }
  for (const [key, inner] of Object.entries(value)) {
    flatten(inner, path === '' ? key : `${path}.${key}`, into)
  }
  return into
}

async function viewTask(task: Task, parts: ServiceParts, port: number): Promise<TaskView> {
  const { scheduler, images, dataPlane } = parts
  const revision = scheduler.registry.current(task)
  const controller = scheduler.findController(task.name)
  const live = controller?.instances.filter(({ isLive }) => isLive) ?? []
  const usages = await Promise.all(live.map(({ instance }) => instance.usage()))
  const image = revision === undefined ? undefined : await findImage(revision, images)
  const failure = controller?.isFailing === true ? controller.failures[0] : undefined
  return {
    name: task.name,
    state: taskState(task, controller),
    desired: task.desired,
    revision: revision?.number ?? 0,
    image: revision?.image ?? 'sha256:',
    runtime: image?.config.binaryReference ?? '?',
    isolation: revision?.spec.isolation ?? 'sandbox',
    urls: revision === undefined ? [] : urlsOf(revision.spec, port),
    traffic: task.traffic,
    instancesWanted: task.instances,
    instancesLive: live.length,
    instancesReady: live.filter(({ isRoutable }) => isRoutable).length,
    memoryBytes: usages.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    requests: dataPlane.counters(task.name)?.requests ?? 0,
    createdAtMs: task.createdAtMs,
    deployedAtMs: revision?.createdAtMs ?? task.createdAtMs,
    lastError: failure === undefined ? null : viewFailure(failure, []),
  }
}

async function describe(name: string, parts: ServiceParts): Promise<TaskDetail> {
  const { scheduler, images, dataPlane, config } = parts
  const task = scheduler.registry.require(name)
  const view = await viewTask(task, parts, await httpPort(config.runFolder))
  const controller = scheduler.findController(name)
  const revisions = [...scheduler.registry.revisions(name).values()].toReversed()
  const spec = scheduler.registry.current(task)?.spec
  const failures = controller?.failures ?? []
  const errors = await Promise.all(
    failures.map(async (failure) => {
      const managed = controller?.instances.find(({ id }) => id === failure.instance)
      const tail = managed === undefined ? [] : await logTail(managed.instance, ERROR_LOG_LINES)
      return viewFailure(failure, tail)
    }),
  )
  const backOffMs = controller?.backOffMs ?? 0
  return {
    ...view,
    lastError: view.lastError === null ? null : (errors[0] ?? null),
    revisions: await Promise.all(
      revisions.map(async (revision) =>
        viewRevision(revision, {
          runtime: (await findImage(revision, images))?.config.binaryReference ?? '?',
          percent: task.traffic.find((share) => share.revision === revision.number)?.percent ?? 0,
          instancesLive: liveOf(controller?.instances ?? [], revision.number),
        }),
      ),
    ),
    routes: spec?.http?.routes ?? [],
    publish:
      spec === undefined
        ? []
        : viewPublish(spec, (address, port) => dataPlane.publishFailure(address, port)),
    addresses: spec === undefined ? [] : addressesOf(spec, scheduler),
    instances: await Promise.all(
      (controller?.instances ?? []).map(async (managed) =>
        viewInstance(managed, managed.isLive ? await managed.instance.usage() : null),
      ),
    ),
    counters: dataPlane.counters(name) ?? null,
    errors,
    backOffUntilMs: backOffMs > 0 ? Date.now() + Math.round(backOffMs) : null,
  }
}

function liveOf(instances: readonly ManagedInstance[], revision: number): number {
  return instances.filter((managed) => managed.revision === revision && managed.isLive).length
}

/** An image whose files were damaged is still listed, by what can be read of it. */
async function findImage(revision: Revision, images: ServiceParts['images']) {
  return await images.getImage(revision.image).catch(() => undefined)
}

function viewService(task: Task, parts: ServiceParts, port: number): ServiceView {
  const { scheduler, dataPlane } = parts
  const controller = scheduler.findController(task.name)
  const spec = scheduler.registry.current(task)?.spec
  const state = taskState(task, controller)
  const ready = controller?.instances.filter(({ isRoutable }) => isRoutable).length ?? 0
  return {
    name: task.name,
    state,
    urls: spec === undefined ? [] : urlsOf(spec, port),
    publish:
      spec === undefined
        ? []
        : viewPublish(spec, (address, hostPort) => dataPlane.publishFailure(address, hostPort)),
    instancesReady: ready,
    isAvailable: ready > 0 || state === 'idle' || state === 'starting',
  }
}

/** Waits for a change of the registry or of the task until it is available or the time is over. */
async function awaitService(
  name: string,
  waitMs: number,
  signal: AbortSignal,
  parts: ServiceParts,
): Promise<ServiceView> {
  const { scheduler, events, config } = parts
  const port = await httpPort(config.runFolder)
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(waitMs)])
  for (;;) {
    const task = scheduler.registry.get(name)
    const service = task === undefined ? undefined : viewService(task, parts, port)
    if (service?.isAvailable === true) return service
    if (waitMs === 0 || deadline.aborted) {
      return service ?? viewService(scheduler.registry.require(name), parts, port)
    }
    // Whatever makes a service available is an event.
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => resolve()
    const subscription = events.subscribe(look)
    deadline.addEventListener('abort', look, { once: true })
    await promise
    subscription[Symbol.dispose]()
    deadline.removeEventListener('abort', look)
  }
}
