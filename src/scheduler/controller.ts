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
import type { Instance, StdioPlan } from '../drivers/driver.ts'

import type { Admission } from './admission.ts'
import { afterFailure, NO_BACK_OFF, STEADY_MS, type BackOff } from './back-off.ts'
import type { DataPlane } from './data-plane.ts'
import { instancesWanted } from './demand.ts'
import { describeExit, errorBody } from './endings.ts'
import type { EventLog } from './events.ts'
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
}

export interface Failure extends ErrorBody {
  readonly atMs: number
  readonly revision: number
  readonly instance: string | null
}

const FAILURES_KEPT_MAX = 10
const RETRY_AFTER_S = 1

export class TaskController {
  readonly name: string
  readonly #parts: ControllerParts
  readonly #fleet: Fleet
  /** Revisions that are made ready before they get traffic. */
  readonly #candidates = new Set<number>()
  readonly #waiting = new Map<number, number>()
  readonly #observers = new Set<() => void>()
  #failures: readonly Failure[] = []
  #backOff: BackOff = NO_BACK_OFF
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(name: string, parts: ControllerParts) {
    this.name = name
    this.#parts = parts
    this.#fleet = new Fleet(parts, {
      onChange: () => this.#reconcile(),
      onStartFailed: (revision, managed, thrown) => this.#startFailed(revision, managed, thrown),
      onCrash: (managed) => this.#crashed(managed),
      mayIdle: (managed) => this.#mayIdle(managed),
    })
  }

  /** Live ones first, newest first. */
  get instances(): readonly ManagedInstance[] {
    const newest = this.#fleet.all.toReversed().toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    return newest.toSorted((a, b) => Number(b.isLive) - Number(a.isLive))
  }

  /** Newest first. */
  get failures(): readonly Failure[] {
    return this.#failures
  }

  get backOff(): BackOff {
    return this.#backOff
  }

  /** The task's record has changed, or is gone. */
  taskChanged(): void {
    this.#backOff = NO_BACK_OFF
    this.#reconcile()
    this.#fleet.touchAll()
  }

  /** Requests wait for an instance of the revision. */
  wake(revision: number, waiting: number): void {
    const task = this.#parts.registry.get(this.name)
    if (task === undefined) return
    const refusal = this.#refuseWake(task, revision)
    if (refusal !== undefined) {
      this.#failWake(revision, refusal.error, refusal.retryAfterS)
      return
    }
    this.#waiting.set(revision, waiting)
    this.#resumeSome(revision, waiting)
    this.#reconcile()
  }

  observe(activity: InstanceActivity): void {
    const managed = this.#fleet.get(activity.instance)
    if (managed === undefined) return
    managed.observe(activity)
    this.#fleet.touch(managed)
    this.#notify()
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

  /** The candidate has its traffic, or will never have it. */
  release(revision: number): void {
    this.#candidates.delete(revision)
    this.#reconcile()
  }

  /** Prepares the one instance of a run; `launch` starts it. */
  async prepareRun(revision: Revision, stdio: StdioPlan): Promise<ManagedInstance> {
    const task = this.#parts.registry.require(this.name)
    return await this.#fleet.prepare(task, revision, stdio)
  }

  async launch(managed: ManagedInstance): Promise<void> {
    await this.#fleet.launch(managed)
  }

  async resume(managed: ManagedInstance): Promise<void> {
    await this.#fleet.resume(managed)
  }

  /** Makes a new instance for each that serves, then lets the old ones go. */
  async replaceAll(): Promise<void> {
    const task = this.#parts.registry.require(this.name)
    for (const managed of this.#fleet.all.filter(({ isRoutable }) => isRoutable)) {
      const revision = this.#parts.registry.revisions(this.name).get(managed.revision)
      if (revision === undefined) continue
      await this.#fleet.start(task, revision, NO_STDIO)
      void this.#fleet.retire(managed, 'REPLACED', null)
    }
  }

  /** Ends everything; requests in flight get `drainMs` to finish. Resolves when all is gone. */
  async stopAll(reason: ExitReason, drainMs: number, graceMsMax = Infinity): Promise<void> {
    await Promise.all(
      this.#fleet.all.map((managed) => this.#fleet.retire(managed, reason, drainMs, graceMsMax)),
    )
    // Those that were being retired already.
    await Promise.all(this.#fleet.all.map(({ instance }) => instance.exited))
  }

  /** Resolves when `isDone` holds, looked at after every change. Rejects with the signal's reason. */
  async until(isDone: () => boolean, signal: AbortSignal): Promise<void> {
    while (!isDone()) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#observers.add(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
      await promise
      this.#observers.delete(resolve)
    }
  }

  /** Deletes what ended instances left. `stopAll` comes first. */
  async forget(): Promise<void> {
    this.close()
    await this.#fleet.removeEnded()
  }

  /** Starts nothing any more; the node is ending. */
  suspend(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
  }

  /** Lets go of everything without ending it. */
  close(): void {
    this.suspend()
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
    if (this.#isClosed) return
    const task = this.#parts.registry.get(this.name)
    if (task?.kind === 'service' && task.desired === 'on') {
      this.#retireUnrouted(task)
      for (const { revision, percent } of task.traffic) this.#converge(task, revision, percent)
    }
    this.publish()
    this.#notify()
  }

  #notify(): void {
    for (const observer of this.#observers) observer()
  }

  #retireUnrouted(task: Task): void {
    const routed = new Set(task.traffic.map(({ revision }) => revision))
    for (const managed of this.#fleet.all) {
      const isWanted = routed.has(managed.revision) || this.#candidates.has(managed.revision)
      if (!isWanted && managed.isCounted) void this.#fleet.retire(managed, 'REPLACED', null)
    }
  }

  #converge(task: Task, number: number, percent: number): void {
    const revision = this.#parts.registry.revisions(this.name).get(number)
    if (revision === undefined) return
    const counted = this.#fleet.counted(number)
    const count = this.#fleet.countOf(number)
    const fixed = task.instances === null ? null : Math.ceil((task.instances * percent) / 100)
    if (counted.some(({ isRoutable, instance }) => isRoutable && instance.state === 'running')) {
      this.#waiting.delete(number)
    }
    const wanted = instancesWanted(revision.spec.scale, fixed, {
      inFlight: counted.reduce((sum, { inFlight }) => sum + inFlight, 0),
      waiting: this.#waiting.get(number) ?? 0,
      live: count,
    })
    for (let missing = wanted - count; missing > 0 && !this.#isBackingOff(); missing--) {
      // Its failure is told to those who wait, and kept.
      this.#fleet.start(task, revision, NO_STDIO).catch(() => {})
    }
    if (fixed !== null) this.#retireSurplus(counted, count - wanted)
    if (fixed !== null) for (const managed of counted) void this.#fleet.resume(managed)
  }

  #retireSurplus(counted: readonly ManagedInstance[], surplus: number): void {
    if (surplus <= 0) return
    const idlest = counted.toSorted((a, b) => a.inFlight - b.inFlight)
    for (const managed of idlest.slice(0, surplus)) {
      void this.#fleet.retire(managed, 'SCALED_DOWN', null)
    }
  }

  #isBackingOff(): boolean {
    return this.#backOff.untilMs > Date.now()
  }

  /** Minimum and fixed numbers of instances stay awake. */
  #mayIdle(managed: ManagedInstance): boolean {
    const task = this.#parts.registry.get(this.name)
    if (task === undefined || task.kind === 'run' || task.instances !== null) return false
    if (!this.#parts.dataPlane.isConnected) return false
    const running = this.#fleet
      .counted(managed.revision)
      .filter(({ instance }) => instance.state === 'running')
    const { min } = managed.instance.plan.spec.scale
    return managed.instance.state === 'paused' || running.length > min
  }

  #refuseWake(
    task: Task,
    revision: number,
  ): { readonly error: ErrorBody; readonly retryAfterS: number } | undefined {
    if (this.#fleet.countOf(revision) > 0) return undefined
    if (task.desired === 'stopped' || task.kind === 'run' || task.instances === 0) {
      const message = `the task ${this.name} has no instance, and requests do not start one`
      const hint = `Start it with "quiver start ${this.name}" or "quiver scale ${this.name} 1".`
      return {
        error: { code: 'unavailable', reason: 'NOT_RUNNING', message, hint },
        retryAfterS: 30,
      }
    }
    const [failure] = this.#failures
    if (!this.#isBackingOff() || failure === undefined) return undefined
    const waitS = Math.ceil((this.#backOff.untilMs - Date.now()) / 1000)
    return { error: errorOf(failure), retryAfterS: waitS }
  }

  #failWake(revision: number, error: ErrorBody, retryAfterS: number): void {
    this.#waiting.delete(revision)
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
    // A node that is full is no fault of the task: it is tried again as soon as there is a place.
    if (error.reason === 'INSTANCES_EXHAUSTED')
      this.#parts.admission.whenFree(() => this.#reconcile())
    else this.#fail(error, revision, managed)
    this.#parts.events.emit({
      type: 'startFailed',
      task: this.name,
      revision,
      instance: managed?.id ?? null,
      reason: error.reason,
      message: error.message,
    })
    const isServed = this.#fleet.counted(revision).some(({ isRoutable }) => isRoutable)
    if (isServed) return
    const waitS = Math.ceil((this.#backOff.untilMs - Date.now()) / 1000)
    this.#failWake(revision, error, Math.max(RETRY_AFTER_S, waitS))
  }

  #crashed(managed: ManagedInstance): void {
    if (managed.exit === null) return
    const livedMs = monotonicMs() - (managed.readyAtMs ?? 0)
    if (livedMs > STEADY_MS) this.#backOff = NO_BACK_OFF
    const message = `${managed.id} ended: ${describeExit(managed.exit, managed.instance.plan.spec)}`
    const { reason } = managed.exit
    this.#fail({ code: 'unavailable', reason, message }, managed.revision, managed)
  }

  #fail(error: ErrorBody, revision: number, managed: ManagedInstance | undefined): void {
    const failure: Failure = { ...error, atMs: Date.now(), revision, instance: managed?.id ?? null }
    this.#failures = [failure, ...this.#failures].slice(0, FAILURES_KEPT_MAX)
    this.#backOff = afterFailure(this.#backOff, failure.atMs)
    const waitMs = this.#backOff.untilMs - failure.atMs
    if (waitMs <= 0) return
    this.#parts.events.emit({
      type: 'backingOff',
      task: this.name,
      revision,
      reason: error.reason,
      message: `${this.name} failed ${this.#backOff.failures} times in a row; next try in ${waitMs / 1000} s`,
    })
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#reconcile(), waitMs)
    this.#retry.unref()
  }
}

function errorOf({ code, reason, message, hint }: Failure): ErrorBody {
  return { code, reason, message, ...(hint === undefined ? {} : { hint }) }
}
