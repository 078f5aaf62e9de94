/**
 * The instances of one task and what may be done with them: start, serve, pause, resume, retire.
 *
 * How many there should be is not decided here (controller.ts). Every action reports its result through
 * `FleetObserver`, whoever began it.
 */

import { monotonicMs } from '../core/clock.ts'
import type { ExitReason, ExitReport } from '../core/instance.ts'
import type { Revision, Task } from '../core/task.ts'
import type { Instance, StdioPlan } from '../drivers/driver.ts'

import type { Admission } from './admission.ts'
import type { DataPlane } from './data-plane.ts'
import { describeExit, errorBody, exitError, isUnexpected } from './endings.ts'
import type { EventLog, NewEvent } from './events.ts'
import { IdleClock } from './idle-clock.ts'
import { LimitWatch } from './limit-watch.ts'
import { ManagedInstance } from './managed.ts'
import { planGrant } from './planning.ts'
import type { Starter } from './starter.ts'
import { readStory } from './story.ts'

export interface FleetParts {
  readonly starter: Starter
  readonly admission: Admission
  readonly dataPlane: DataPlane
  readonly events: EventLog
}

export interface FleetObserver {
  /** Something about an instance is different now: routes may be too. */
  readonly onChange: () => void
  /** @param managed  undefined when not even an instance could be prepared */
  readonly onStartFailed: (
    revision: number,
    managed: ManagedInstance | undefined,
    thrown: unknown,
  ) => void
  /** An instance that served ended without being asked to. */
  readonly onCrash: (managed: ManagedInstance) => void
  /** Whether it may be paused or stopped when it is idle. */
  readonly mayIdle: (managed: ManagedInstance) => boolean
}

const ENDED_KEPT_MAX = 5

export class Fleet {
  readonly #parts: FleetParts
  readonly #observer: FleetObserver
  readonly #instances = new Map<string, ManagedInstance>()
  /** Revision numbers of instances that are being prepared and have no id yet. */
  readonly #preparing = new Map<symbol, number>()
  readonly #idleClock: IdleClock
  readonly #limitWatch = new LimitWatch((managed, event) => this.#event(managed, event))
  #isClosed = false

  constructor(parts: FleetParts, observer: FleetObserver) {
    this.#parts = parts
    this.#observer = observer
    this.#idleClock = new IdleClock({
      mayIdle: observer.mayIdle,
      pause: (managed) => void this.#pauseIdle(managed),
      stop: (managed) => void this.#stopIdle(managed),
    })
  }

  get all(): readonly ManagedInstance[] {
    return [...this.#instances.values()]
  }

  get(id: string): ManagedInstance | undefined {
    return this.#instances.get(id)
  }

  /** Those that are not on their way out. */
  counted(revision: number): readonly ManagedInstance[] {
    return this.all.filter((managed) => managed.revision === revision && managed.isCounted)
  }

  /** How many there are or will be when what was begun succeeds. */
  countOf(revision: number): number {
    const preparing = [...this.#preparing.values()].filter((number) => number === revision).length
    return this.counted(revision).length + preparing
  }

  /** @throws QuiverError whatever the start failed with; the observer is told too */
  async start(task: Task, revision: Revision, stdio: StdioPlan): Promise<ManagedInstance> {
    const managed = await this.prepare(task, revision, stdio)
    await this.launch(managed)
    return managed
  }

  /** The part of a start before the first process. */
  async prepare(task: Task, revision: Revision, stdio: StdioPlan): Promise<ManagedInstance> {
    const { dataPlane } = this.#parts
    const wakeAtMs = monotonicMs()
    const token = Symbol('preparing')
    this.#preparing.set(token, revision.number)
    try {
      const { instance, materialisedAtNs } = await this.#admit(task, revision, stdio)
      const managed = new ManagedInstance(instance, { wakeAtMs, createdAtMs: Date.now() })
      managed.mark('materialise', materialisedAtNs)
      this.#keep(managed)
      dataPlane.grant(planGrant(instance.plan))
      return managed
    } catch (thrown) {
      this.#observer.onStartFailed(revision.number, undefined, thrown)
      throw thrown
    } finally {
      this.#preparing.delete(token)
    }
  }

  async launch(managed: ManagedInstance): Promise<void> {
    this.#event(managed, { type: 'instanceStarting', message: `${managed.id} is starting` })
    managed.isLaunching = true
    try {
      managed.mark('ready', await this.#parts.starter.start(managed.instance))
      managed.isLaunching = false
    } catch (thrown) {
      managed.isLaunching = false
      managed.error = errorBody(thrown)
      this.#observer.onStartFailed(managed.revision, managed, thrown)
      this.#observer.onChange()
      throw thrown
    }
    const ms = (monotonicMs() - managed.wakeAtMs).toFixed(0)
    this.#event(managed, {
      type: 'instanceReady',
      message: `${managed.id} was ready after ${ms} ms`,
    })
    managed.lastWake = 'cold'
    this.#serve(managed)
  }

  /** Takes over what an earlier control process had started, or learns how it ended. */
  async adopt(instance: Instance): Promise<void> {
    const story = await readStory(instance.folder)
    const managed = new ManagedInstance(instance, {
      wakeAtMs: story?.wakeAtMs ?? monotonicMs(),
      createdAtMs: story?.createdAtMs ?? Date.now(),
    })
    if (story !== undefined) managed.recall(story)
    this.#parts.admission.adopt()
    this.#keep(managed)
    if (!managed.isLive) return
    this.#event(managed, {
      type: 'instanceAdopted',
      message: `${managed.id} was found ${instance.state}`,
    })
    this.#parts.dataPlane.grant(planGrant(instance.plan))
    if (instance.stopReason !== undefined) {
      managed.role = 'retiring'
      void instance.stop(instance.stopReason, instance.plan.spec.limits.stopTimeoutMs)
      return
    }
    const isReady = managed.readyAtMs !== undefined || instance.state === 'paused'
    if (!isReady || instance.state === 'starting') {
      // A failure is told to the observer.
      this.launch(managed).catch(() => {})
      return
    }
    await instance.settle()
    managed.isIdleKnown = false
    this.#serve(managed)
  }

  firstByte(id: string, queueMs: number, atNs: number): void {
    const managed = this.#instances.get(id)
    managed?.markFirstByte(queueMs, atNs)
    managed?.save()
  }

  /** Unfreezes a paused instance; one that is about to be paused is kept from it. */
  async resume(managed: ManagedInstance): Promise<void> {
    if (managed.role === 'draining') managed.isWantedBack = true
    if (managed.role !== 'serving' || managed.instance.state !== 'paused') return
    await managed.instance.resume()
    managed.lastWake = 'resumed'
    managed.idleSinceMs = monotonicMs()
    this.#event(managed, { type: 'instanceResumed', message: `${managed.id} was resumed` })
    this.#idleClock.set(managed)
    this.#observer.onChange()
  }

  /**
   * Lets requests in flight finish, then stops it. Resolves when it is gone.
   *
   * @param drainMs     how long to wait for them; null: as long as they take
   * @param graceMsMax  from the stop signal to SIGKILL, where its own time is longer
   */
  async retire(
    managed: ManagedInstance,
    reason: ExitReason,
    drainMs: number | null,
    graceMsMax = Infinity,
  ): Promise<void> {
    if (!managed.isLive) return
    const isRouted = managed.role === 'serving' || managed.role === 'draining'
    if (managed.role === 'retiring' && drainMs === null) return
    managed.role = 'retiring'
    this.#idleClock.unset(managed)
    this.#observer.onChange()
    if (isRouted) await this.#drained(managed, drainMs)
    const { stopTimeoutMs } = managed.instance.plan.spec.limits
    await managed.instance.stop(reason, Math.min(stopTimeoutMs, graceMsMax))
  }

  /** Requests were in flight or ended: the idle clock starts again. */
  touch(managed: ManagedInstance): void {
    this.#idleClock.set(managed)
    this.#limitWatch.touch(managed)
  }

  touchAll(): void {
    for (const managed of this.#instances.values()) this.#idleClock.set(managed)
  }

  /** Lets go of everything without ending it. */
  close(): void {
    this.#isClosed = true
    this.#idleClock.clear()
    this.#limitWatch.clear()
  }

  async removeEnded(): Promise<void> {
    for (const managed of this.all) if (!managed.isLive) await managed.remove()
  }

  #serve(managed: ManagedInstance): void {
    managed.role = 'serving'
    managed.readyAtMs ??= monotonicMs()
    managed.idleSinceMs = managed.readyAtMs
    managed.save()
    this.#limitWallTime(managed)
    this.#idleClock.set(managed)
    this.#observer.onChange()
  }

  #limitWallTime(managed: ManagedInstance): void {
    const { wallTimeMs, stopTimeoutMs } = managed.instance.plan.spec.limits
    if (wallTimeMs === null) return
    const timer = setTimeout(
      () => {
        this.#event(managed, {
          type: 'limitReached',
          reason: 'WALL_TIME',
          message: `${managed.id} reached limits.wall_time`,
        })
        void this.retire(managed, 'WALL_TIME', stopTimeoutMs)
      },
      wallTimeMs - (monotonicMs() - (managed.readyAtMs ?? 0)),
    )
    void managed.instance.exited.then(() => clearTimeout(timer))
  }

  async #pauseIdle(managed: ManagedInstance): Promise<void> {
    if (!(await this.#drainIdle(managed))) return
    await managed.instance.pause()
    if (managed.role !== 'draining') return
    managed.role = 'serving'
    if (managed.instance.state !== 'paused') return
    this.#event(managed, {
      type: 'instancePaused',
      message: `${managed.id} is idle and was paused`,
    })
    this.#observer.onChange()
    if (managed.isWantedBack) await this.resume(managed)
    this.#idleClock.set(managed)
  }

  async #stopIdle(managed: ManagedInstance): Promise<void> {
    // A paused instance gets no requests: there is nothing to ask the proxy.
    const isPaused = managed.instance.state === 'paused'
    if (!isPaused && !(await this.#drainIdle(managed))) return
    managed.role = 'retiring'
    this.#observer.onChange()
    await managed.instance.stop('IDLE', managed.instance.plan.spec.limits.stopTimeoutMs)
  }

  /** True when the proxy routes nothing more to it and nobody has asked for it meanwhile. */
  async #drainIdle(managed: ManagedInstance): Promise<boolean> {
    managed.role = 'draining'
    managed.isWantedBack = false
    const answer = await this.#parts.dataPlane.drain(managed.id, 'idle')
    if (managed.role !== 'draining' || !managed.isLive) return false
    if (answer === 'drained' && !managed.isWantedBack) return true
    managed.role = 'serving'
    managed.idleSinceMs = monotonicMs()
    this.#observer.onChange()
    this.#idleClock.set(managed)
    return false
  }

  /** A place that an instance takes is given back by its end. */
  async #admit(task: Task, revision: Revision, stdio: StdioPlan) {
    const { admission, starter } = this.#parts
    admission.enter()
    try {
      return await starter.prepare(task, revision, stdio)
    } catch (thrown) {
      admission.leave()
      throw thrown
    }
  }

  async #drained(managed: ManagedInstance, drainMs: number | null): Promise<void> {
    const drained = this.#parts.dataPlane.drain(managed.id, 'retire')
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = drainMs === null ? undefined : setTimeout(resolve, drainMs)
    await Promise.race([drained, late, managed.instance.exited])
    clearTimeout(timer)
  }

  #keep(managed: ManagedInstance): void {
    this.#instances.set(managed.id, managed)
    void managed.instance.exited.then((report) => this.#ended(managed, report))
  }

  #ended(managed: ManagedInstance, report: ExitReport): void {
    managed.exit = report
    this.#idleClock.unset(managed)
    this.#parts.dataPlane.revoke(managed.id)
    this.#parts.admission.leave()
    if (this.#isClosed || managed.isEndTold) return
    managed.isEndTold = true
    managed.save()
    void this.#limitWatch.look(managed)
    const message = `${managed.id} ended: ${describeExit(report, managed.instance.plan.spec)}`
    this.#event(managed, { type: 'instanceExited', reason: report.reason, message })
    const wasServing = managed.readyAtMs !== undefined
    if (wasServing && isUnexpected(report)) {
      this.#parts.dataPlane.tellExit(managed.id, exitError(managed, report))
      this.#observer.onCrash(managed)
    }
    this.#forgetOldest()
    // The end of a start that failed is told by `launch`, with its reason; until then nobody tries again.
    if (!managed.isLaunching) this.#observer.onChange()
  }

  #forgetOldest(): void {
    const ended = this.all.filter(({ isLive }) => !isLive)
    const oldest = ended.toSorted((a, b) => a.createdAtMs - b.createdAtMs)
    for (const managed of oldest.slice(0, -ENDED_KEPT_MAX)) {
      this.#instances.delete(managed.id)
      void managed.remove()
    }
  }

  #event(managed: ManagedInstance, event: NewEvent): void {
    const { id, revision, instance } = managed
    this.#parts.events.emit({ task: instance.plan.task, revision, instance: id, ...event })
  }
}
