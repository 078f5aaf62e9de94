/** A deployment: from an image and a spec to a revision with its share of the traffic, or to nothing at all. */

import { once } from 'node:events'
import { createServer } from 'node:net'

import { monotonicMs } from '../core/clock.ts'
import { canonicalJson, type Digest } from '../core/digest.ts'
import { errnoOf, QuiverError } from '../core/error.ts'
import type { Revision, Task, TaskSpec, TrafficShare } from '../core/task.ts'
import type { Driver } from '../drivers/driver.ts'
import type { ImageStore } from '../images/images.ts'

import type { AddressBook, Assignment } from './addresses.ts'
import { assertNoConflict } from './conflicts.ts'
import type { TaskController } from './controller.ts'
import type { EventLog } from './events.ts'
import type { ModuleJudge } from './modules.ts'
import { prune } from './prune.ts'
import type { TaskRegistry } from './registry.ts'
import { requireDriver } from './starter.ts'

export interface Deployment {
  readonly spec: TaskSpec
  readonly image: Digest
  /** 1–100. */
  readonly trafficPercent: number
  readonly kind: Task['kind']
  /** Only for runs. */
  readonly isRemovedAtEnd?: boolean
}

export interface DeployOutcome {
  readonly revision: Revision
  readonly isNew: boolean
  /** The current revision is the same already; nothing was done. */
  readonly isUnchanged: boolean
  readonly timings: readonly { readonly name: string; readonly ms: number }[]
}

export interface DeploymentParts {
  readonly registry: TaskRegistry
  /** Undefined for a task that has never been awake. */
  readonly findController: () => TaskController | undefined
  readonly images: ImageStore
  readonly drivers: ReadonlyMap<string, Driver>
  readonly modules: ModuleJudge
  readonly addresses: AddressBook
  readonly events: EventLog
  readonly tasksMax: number
  readonly uidsMax: number | null
}

const REVISIONS_KEPT = 10
/** A disk of some gigabytes is built meanwhile. */
const PROVISION_TIMEOUT_MS = 600_000

/**
 * Refuses conflicts first; nothing has been started then. Where the task has live instances, the new revision is made
 * ready before it gets a request; a task that sleeps is not woken. A failure leaves the task as it was.
 */
export async function deployRevision(
  requested: Deployment,
  parts: DeploymentParts,
): Promise<DeployOutcome> {
  const { image, kind } = requested
  const { registry, images } = parts
  const driver = requireDriver(parts.drivers, requested.spec)
  const task = registry.get(requested.spec.name)
  if (task !== undefined) assertSameKind(task, requested)
  const stored = await images.getImage(image)
  const spec = await parts.modules.judge(requested.spec, stored, kind, registry)
  const deployment = { ...requested, spec }
  const current = task === undefined ? undefined : registry.current(task)
  if (task !== undefined && current !== undefined && isSame(task, current, deployment)) {
    return { revision: current, isNew: false, isUnchanged: true, timings: [] }
  }
  using assigned = await parts.addresses.assign(spec, kind, task?.instances ?? null)
  assertNoConflict(spec, registry.specsOfOthers(spec.name))
  // In the same turn as the check: of two deployments at once, the second hears of the first.
  using claims = new DisposableStack()
  claims.use(registry.claim(spec))
  await assertPortsFree(spec, current?.spec)

  const clock = new Stopwatch()
  const [binaryTree, imageTree] = await Promise.all([
    images.materialise(stored.config.binary),
    images.materialise(image),
  ])
  const plan = { task: spec.name, spec, binaryTree: binaryTree.path, imageTree: imageTree.path }
  await driver.provision?.(plan, AbortSignal.timeout(PROVISION_TIMEOUT_MS))
  clock.lap('materialise')

  const revision = await addRevision(deployment, task, assigned, parts)
  clock.lap('commit')
  if (task !== undefined) {
    if (await makeReadyIfAwake(revision, task, parts)) clock.lap('ready')
    const switched = giveTraffic(registry.require(spec.name), revision, deployment.trafficPercent)
    await registry.save(switched, { drop: outdated(registry, spec.name) })
    parts.findController()?.release(revision.number)
    prune(parts.drivers, registry)
    clock.lap('switch')
  }
  parts.events.emit({
    type: 'deployed',
    task: spec.name,
    revision: revision.number,
    message: `revision ${revision.number} of ${spec.name} was deployed`,
  })
  return { revision, isNew: task === undefined, isUnchanged: false, timings: clock.laps }
}

/** A new task gets its traffic at once; of an existing one the revision is only a candidate, until it is ready. */
async function addRevision(
  { spec, image, kind, isRemovedAtEnd = false }: Deployment,
  task: Task | undefined,
  { record }: Assignment,
  parts: DeploymentParts,
): Promise<Revision> {
  const { registry } = parts
  const nowMs = Date.now()
  const number = (task?.revisionLast ?? 0) + 1
  const revision = { task: spec.name, number, image, spec, createdAtMs: nowMs }
  if (task !== undefined) {
    const bumped = { ...task, ...record, revisionLast: number, candidate: number }
    await registry.save(bumped, { add: revision, drop: candidatesOf(task) })
    return revision
  }
  assertRoom(parts)
  const created: Task = {
    name: spec.name,
    kind,
    traffic: [{ revision: number, percent: 100 }],
    revisionLast: number,
    candidate: null,
    previous: null,
    desired: 'on',
    isRemovedAtEnd,
    instances: null,
    uidIndex: registry.promiseUidIndex(spec.name),
    ...record,
    createdAtMs: nowMs,
  }
  try {
    await registry.save(created, { add: revision })
  } finally {
    registry.keepPromise(spec.name)
  }
  return revision
}

/** Drops what a deployment left that was cut short by the end of its process. */
export async function dropCandidate(task: Task, registry: TaskRegistry): Promise<void> {
  await registry.save({ ...task, candidate: null }, { drop: candidatesOf(task) })
}

function candidatesOf({ candidate }: Task): readonly number[] {
  return candidate === null ? [] : [candidate]
}

function assertRoom({ registry, tasksMax, uidsMax }: DeploymentParts): void {
  const { count } = registry
  if (count >= tasksMax) {
    const message = `this node has ${count} tasks, and may have ${tasksMax}`
    const hint = 'Remove tasks with "quiver rm", or raise limits.tasks in node.toml.'
    throw new QuiverError('resource_exhausted', 'TASKS_EXHAUSTED', message, { hint })
  }
  if (uidsMax === null || count < uidsMax) return
  const message = `each of the ${uidsMax} user ids of this node belongs to a task`
  const hint = 'Remove tasks with "quiver rm"; uid.size in node.toml counts for new nodes only.'
  throw new QuiverError('resource_exhausted', 'UIDS_EXHAUSTED', message, { hint })
}

async function makeReadyIfAwake(
  revision: Revision,
  { bridgePlaces }: Task,
  parts: DeploymentParts,
): Promise<boolean> {
  const { registry } = parts
  const controller = parts.findController()
  if (controller?.instances.some(({ isCounted }) => isCounted) !== true) return false
  try {
    await controller.makeReady(revision)
    return true
  } catch (thrown) {
    controller.release(revision.number)
    // If this fails too, the candidate goes with the next deployment; why this one failed is what matters.
    const task = { ...registry.require(revision.task), bridgePlaces }
    await dropCandidate(task, registry).catch(() => {})
    throw thrown
  }
}

/** The current revision stays first while it keeps a share. */
function giveTraffic(task: Task, { number }: Revision, percent: number): Task {
  const current = task.traffic[0]?.revision ?? number
  if (percent === 100) {
    const traffic = [{ revision: number, percent }]
    return { ...task, desired: 'on', candidate: null, traffic, previous: current }
  }
  const traffic: readonly TrafficShare[] = [
    { revision: current, percent: 100 - percent },
    { revision: number, percent },
  ]
  return { ...task, desired: 'on', candidate: null, traffic }
}

/** Revisions that nothing refers to any more, beyond the newest few. */
function outdated(registry: TaskRegistry, name: string): readonly number[] {
  const task = registry.require(name)
  const used = new Set([...task.traffic.map(({ revision }) => revision), task.previous])
  const numbers = [...registry.revisions(name).keys()].toSorted((a, b) => b - a)
  return numbers.slice(REVISIONS_KEPT).filter((number) => !used.has(number))
}

function isSame(
  task: Task,
  current: Revision,
  { spec, image, trafficPercent }: Deployment,
): boolean {
  return (
    trafficPercent === 100 &&
    task.traffic.length === 1 &&
    task.desired === 'on' &&
    current.image === image &&
    canonicalJson(current.spec) === canonicalJson(spec)
  )
}

function assertSameKind(task: Task, { kind }: Deployment): void {
  if (task.kind === kind && kind === 'service') return
  const what = task.kind === 'run' ? 'a run' : 'a task'
  throw new QuiverError(
    'already_exists',
    'NAME_TAKEN',
    `there is ${what} called ${task.name} already`,
    {
      hint: `Choose another name, or remove it with "quiver rm ${task.name}".`,
    },
  )
}

/** Tries to bind what is to be published and is not yet, so that a conflict shows before anything starts. */
async function assertPortsFree(spec: TaskSpec, before: TaskSpec | undefined): Promise<void> {
  for (const { publish } of spec.ports) {
    if (publish === null) continue
    const isOurs = before?.ports.some(
      (port) => port.publish?.port === publish.port && port.publish.address === publish.address,
    )
    if (isOurs === true || publish.port === 0) continue
    await assertPortFree(publish.address, publish.port)
  }
}

async function assertPortFree(address: string, port: number): Promise<void> {
  const server = createServer()
  try {
    server.listen({ host: address, port })
    await once(server, 'listening')
  } catch (cause) {
    const code = errnoOf(cause)
    const why = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be bound (${code})`
    throw new QuiverError(
      'failed_precondition',
      'PORT_IN_USE',
      `port ${port} of ${address} ${why}`,
      {
        cause,
        hint: 'Publish another port, or end what listens there.',
      },
    )
  } finally {
    server.close()
  }
}

class Stopwatch {
  readonly laps: { readonly name: string; readonly ms: number }[] = []
  #lastMs = monotonicMs()

  lap(name: string): void {
    const nowMs = monotonicMs()
    this.laps.push({ name, ms: nowMs - this.#lastMs })
    this.#lastMs = nowMs
  }
}
