/**
 * One task: brings what there is (its fleet) to what is wanted (its record, and the requests that wait).
 *
 * Every fact arrives as a call: a changed record, a wake, activity, an end. Each leads to `#reconcile`, which only
 * begins things; how they went comes back as another fact. There is no loop and no polling.
 */

import { monotonicMs } from '../core/clock.ts'
import type { ExitReason } from '../core/instance.ts'
import type { ErrorBody, InstanceActivity } from '../core/link.ts'
import type { Revision, Task } from '../core/task.ts'
import type { NodeBridge } from '../drivers/bridge.ts'
import type { Instance, Mount, StdioPlan } from '../drivers/driver.ts'

import type { Admission } from './admission.ts'
import { STEADY_MS } from './back-off.ts'
import { Changes } from './changes.ts'
import { converge, isAwake, isScaledTo, type Wake } from './convergence.ts'
import type { DataPlane } from './data-plane.ts'
import { shareInstances } from './demand.ts'
import { describeExit, errorBody, errorOf, notRunning } from './endings.ts'
import type { EventLog } from './events.ts'
import { FailureLog, type Failure } from './failures.ts'
import { Fleet } from './fleet.ts'
import type { ManagedInstance } from './managed.ts'
import { NO_STDIO } from './planning.ts'
import type { TaskRegistry } from './registry.ts'
import { buildTaskRoute } from './routes.ts'
import type { Starter } from './starter.ts'

export interface ControllerParts {
  readonly registry: TaskRegistry
  readonly starter: Starter
  readonly admission: Admission
  readonly dataPlane: DataPlane
  readonly events: EventLog
  readonly bridge: Pick<NodeBridge, 'packetsFrom'>
  /** Nothing is begun while the node starts or ends. */
  readonly isOpen: () => boolean
}

const RETRY_AFTER_S = 1
/** Between two events about the same instance that cannot be reached. */
const SUSPECT_TOLD_MS = 10_000

export class TaskController {
  readonly name: string
  readonly #parts: ControllerParts
  readonly #fleet: Fleet
  /** Revisions that are made ready before they get traffic. */
  readonly #candidates = new Set<number>()
  readonly #wakes = new Map<number, Wake>()
  readonly #changes = new Changes()
  readonly #failures: FailureLog
  readonly #retryWhenFree = () => this.#reconcile()
  /** Why the last start came to nothing; another object for each. */
  startError: ErrorBody | undefined
  #isClosed = false

  constructor(name: string, parts: ControllerParts) {
    this.name = name
    this.#parts = parts
    this.#failures = new FailureLog(name, parts.events, () => this.#reconcile())
    this.#fleet = new Fleet(parts, {
      onChange: () => this.#reconcile(),
      onStartFailed: (revision, managed, thrown) => this.#startFailed(revision, managed, thrown),
      onCrash: (managed) => {
        this.#crashed(managed)
        return this.#failures.hint
      },
      mayIdle: (managed) => this.#mayIdle(managed),
    })
  }

  /** Live ones first, newest first. */
  get instances(): readonly ManagedInstance[] {
    const newest = this.#fleet.all.toSorted((a, b) => b.sequence - a.sequence)
    return newest.toSorted((a, b) => Number(b.isLive) - Number(a.isLive))
  }

  /** Newest first. */
  get failures(): readonly Failure[] {
    return this.#failures.list
  }

  /** The last thing it tried went wrong. */
  get isFailing(): boolean {
    return this.#failures.inRow > 0
  }

  /** Milliseconds until it is started again; 0: whenever somebody asks. */
  get backOffMs(): number {
    return this.#failures.waitMs
  }

  /** The task's record has changed, or is gone. */
  taskChanged(): void {
    this.#failures.forgive()
    this.#reconcile()
    this.#fleet.touchAll()
  }

  /**
   * Requests wait for an instance of the revision.
   *
   * @param inFlight  requests that its instances have already, which are all full then
   */
  wake(revision: number, waiting: number, inFlight = 0): void {
    const task = this.#parts.registry.get(this.name)
    if (task === undefined) return
    const refusal = this.#refuseWake(task, revision)
    if (refusal !== undefined) {
      this.#failWake(revision, refusal.error, refusal.retryAfterS)
      return
    }
    this.#wakes.set(revision, { waiting, inFlight })
    this.#resumeSome(revision, waiting)
    this.#reconcile()
  }

  observe(activity: InstanceActivity): void {
    const managed = this.#fleet.get(activity.instance)
    if (managed === undefined) return
    managed.observe(activity)
    this.#fleet.touch(managed)
    this.#changes.notify()
  }

  /** The proxy could not reach it, or it broke off a request; told once in a while, however many requests it were. */
  suspect(instance: string, text: string): void {
    const managed = this.#fleet.get(instance)
    const nowMs = monotonicMs()
    if (managed === undefined || nowMs - managed.suspectedAtMs < SUSPECT_TOLD_MS) return
    managed.suspectedAtMs = nowMs
    const { revision } = managed
    const message = `${instance}: ${text}`
    this.#parts.events.emit({
      type: 'instanceSuspect',
      task: this.name,
      revision,
      instance,
      message,
    })
  }

  firstByte(instance: string, queueMs: number, atNs: number): void {
    this.#fleet.firstByte(instance, queueMs, atNs)
  }

  /** The proxy is back: idleness can be judged again. */
  dataPlaneConnected(): void {
    this.publish()
    this.#fleet.touchAll()
  }

  async adopt(instance: Instance): Promise<void> {
    await this.#fleet.adopt(instance)
  }

  /**
   * Starts an instance of a revision that may have no traffic yet. Call `release` when that is decided.
   *
   * @throws QuiverError whatever the start failed with
   */
  async makeReady(revision: Revision): Promise<ManagedInstance> {
    this.#candidates.add(revision.number)
    const task = this.#parts.registry.require(this.name)
    return await this.#fleet.start(task, revision, NO_STDIO)
  }

  /**
   * Has an instance of the revision serve: one that is there, one that is being started, or a new one.
   *
   * @throws QuiverError whatever the start failed with; the signal's reason
   */
  async ensureReady(revision: Revision, signal: AbortSignal): Promise<void> {
    if (this.#fleet.countOf(revision.number) === 0) {
      try {
        await this.makeReady(revision)
      } finally {
        this.release(revision.number)
      }
      return
    }
    const errorBefore = this.startError
    const isServed = () => this.#fleet.counted(revision.number).some(({ isRoutable }) => isRoutable)
    await this.until(() => isServed() || this.startError !== errorBefore, signal)
    if (!isServed() && this.startError !== undefined) throw errorOf(this.startError)
  }

  /** Whether each revision has its share of a fixed number. */
  isScaledTo(instances: number): boolean {
    const task = this.#parts.registry.get(this.name)
    return task !== undefined && isScaledTo(this.#fleet, task, instances)
  }

  /** The candidate has its traffic, or will never have it. */
  release(revision: number): void {
    this.#candidates.delete(revision)
    this.#reconcile()
  }

  /** Prepares the one instance of a run; `launch` starts it. */
  async prepareRun(
    revision: Revision,
    stdio: StdioPlan,
    mounts: readonly Mount[],
  ): Promise<ManagedInstance> {
    const task = this.#parts.registry.require(this.name)
    return await this.#fleet.prepare(task, revision, stdio, mounts)
  }

  async launch(managed: ManagedInstance): Promise<void> {
    await this.#fleet.launch(managed)
  }

  /** Somebody is inside; `letIdle` when he has left. */
  holdAwake(managed: ManagedInstance): void {
    managed.sessions++
  }

  letIdle(managed: ManagedInstance): void {
    managed.sessions--
    managed.idleSinceMs = monotonicMs()
    this.#fleet.touch(managed)
  }

  async resume(managed: ManagedInstance): Promise<void> {
    await this.#fleet.resume(managed)
  }

  /** Makes a new instance for each that serves, then lets the old ones go. */
  async replaceAll(): Promise<void> {
    const task = this.#parts.registry.require(this.name)
    for (const managed of this.#fleet.all.filter(hasServed)) {
      const revision = this.#parts.registry.revisions(this.name).get(managed.revision)
      if (revision === undefined || !hasServed(managed)) continue
      // Its successor takes its place from the beginning: neither is one too many.
      managed.isReplaced = true
      try {
        await this.#fleet.start(task, revision, NO_STDIO)
      } catch (thrown) {
        managed.isReplaced = false
        this.#reconcile()
        throw thrown
      }
      void this.#fleet.retire(managed, 'REPLACED', null)
    }
  }

  /** Ends everything; requests in flight get `drainMs` to finish. Resolves when all is gone. */
  async stopAll(reason: ExitReason, drainMs: number, graceMsMax = Infinity): Promise<void> {
    await this.#fleet.cancelPreparations()
    await Promise.all(
      this.#fleet.all.map((managed) => this.#fleet.retire(managed, reason, drainMs, graceMsMax)),
    )
    // Those that were being retired already.
    await Promise.all(this.#fleet.all.map(({ instance }) => instance.exited))
  }

  /** Resolves when `isDone` holds, looked at after every change. Rejects with the signal's reason. */
  async until(isDone: () => boolean, signal: AbortSignal): Promise<void> {
    await this.#changes.until(isDone, signal)
  }

  /** Deletes what ended instances left. `stopAll` comes first. */
  async forget(): Promise<void> {
    this.close()
    await this.#fleet.removeEnded()
  }

  /** Lets go of everything without ending it. */
  close(): void {
    this.#isClosed = true
    this.#failures.close()
    this.#parts.admission.forget(this.#retryWhenFree)
    this.#fleet.close()
  }

  /** Tells the proxy how things are now. */
  publish(): void {
    const { dataPlane, registry } = this.#parts
    const task = registry.get(this.name)
    if (task === undefined) {
      dataPlane.withdraw(this.name)
      return
    }
    dataPlane.publish(buildTaskRoute(task, registry.revisions(this.name), this.#fleet.all))
  }

  #reconcile(): void {
    if (this.#isClosed || !this.#parts.isOpen()) return
    const task = this.#parts.registry.get(this.name)
    if (task?.kind === 'service' && task.desired === 'on') {
      this.#retireUnrouted(task)
      const shares = task.instances === null ? null : shareInstances(task.instances, task.traffic)
      for (const share of task.traffic) {
        const revision = this.#parts.registry.revisions(this.name).get(share.revision)
        if (revision === undefined) continue
        const isMet = converge(this.#fleet, task, revision, {
          fixed: shares?.get(revision.number) ?? null,
          wake: this.#wakes.get(revision.number),
          mayStart: () => this.backOffMs === 0,
        })
        // Whoever still waits says so again.
        if (isMet) this.#wakes.delete(revision.number)
      }
    } else this.#wakes.clear()
    this.publish()
    this.#changes.notify()
  }

  #retireUnrouted(task: Task): void {
    const routed = new Set(task.traffic.map(({ revision }) => revision))
    for (const managed of this.#fleet.all) {
      const isWanted = routed.has(managed.revision) || this.#candidates.has(managed.revision)
      if (!isWanted && managed.isCounted) void this.#fleet.retire(managed, 'REPLACED', null)
    }
    for (const revision of this.#wakes.keys()) {
      if (!routed.has(revision)) this.#wakes.delete(revision)
    }
  }

  /** Minimum and fixed numbers of instances stay awake. */
  #mayIdle(managed: ManagedInstance): boolean {
    const task = this.#parts.registry.get(this.name)
    if (task === undefined || task.kind === 'run' || task.instances !== null) return false
    if (!this.#parts.dataPlane.isConnected || managed.sessions > 0) return false
    const { min } = managed.instance.plan.spec.scale
    const counted = this.#fleet.counted(managed.revision)
    if (managed.instance.state === 'paused') return counted.length > min
    return counted.filter(isAwake).length > min
  }

  #refuseWake(
    task: Task,
    revision: number,
  ): { readonly error: ErrorBody; readonly retryAfterS: number } | undefined {
    if (this.#fleet.countOf(revision) > 0) return undefined
    if (task.desired === 'stopped' || task.kind === 'run' || task.instances === 0) {
      return { error: notRunning(this.name), retryAfterS: 30 }
    }
    const error = this.#failures.refusal
    return error && { error, retryAfterS: Math.ceil(this.backOffMs / 1000) }
  }

  #failWake(revision: number, error: ErrorBody, retryAfterS: number): void {
    this.#wakes.delete(revision)
    this.#parts.dataPlane.failWake(this.name, revision, error, retryAfterS)
  }

  #resumeSome(revision: number, waiting: number): void {
    const spec = this.#parts.registry.revisions(this.name).get(revision)?.spec
    const needed = Math.ceil(waiting / (spec?.scale.concurrency ?? 1))
    const resumable = this.#fleet
      .counted(revision)
      .filter(({ role, instance }) => role === 'draining' || instance.state === 'paused')
    for (const managed of resumable.slice(0, needed)) void this.#fleet.resume(managed)
  }

  #startFailed(revision: number, managed: ManagedInstance | undefined, thrown: unknown): void {
    const error = errorBody(thrown)
    this.startError = error
    // A node that is full is no fault of the task: it is tried again as soon as there is a place.
    if (error.reason === 'INSTANCES_EXHAUSTED') this.#parts.admission.whenFree(this.#retryWhenFree)
    else this.#failures.add('start', error, { revision, instance: managed?.id ?? null })
    this.#parts.events.emit({
      type: 'startFailed',
      task: this.name,
      revision,
      instance: managed?.id ?? null,
      reason: error.reason,
      message: error.message,
    })
    this.#changes.notify()
    const isServed = this.#fleet.counted(revision).some(({ role }) => role !== 'starting')
    if (isServed) return
    this.#failWake(revision, error, Math.max(RETRY_AFTER_S, Math.ceil(this.backOffMs / 1000)))
  }

  #crashed({ exit, revision, instance, id, readyAtMs = 0 }: ManagedInstance): void {
    if (exit === null) return
    if (monotonicMs() - readyAtMs > STEADY_MS) this.#failures.forgive()
    const message = `${id} ended: ${describeExit(exit, instance.plan.spec)}`
    const error = { code: 'unavailable', reason: exit.reason, message } as const
    this.#failures.add('crash', error, { revision, instance: id })
  }
}

/** Serves, or is being asked whether it is idle. */
function hasServed({ isCounted, role }: ManagedInstance): boolean {
  return isCounted && role !== 'starting'
}
