/**
 * The instances of one task and what may be done with them: start, serve, pause, resume, retire.
 *
 * How many there should be is not decided here (controller.ts). Every action reports its result through
 * `FleetObserver`, whoever began it.
 */

import { monotonicMs } from '../core/clock.ts'
import { QuiverError } from '../core/error.ts'
import type { ExitReason, ExitReport, LimitMet } from '../core/instance.ts'
import type { Revision, Task } from '../core/task.ts'
import type { NodeBridge } from '../drivers/bridge.ts'
import type { Instance, Mount, StdioPlan } from '../drivers/driver.ts'

import type { Admission } from './admission.ts'
import type { DataPlane } from './data-plane.ts'
import { describeExit, errorBody, exitError, isUnexpected } from './endings.ts'
import type { EventLog, NewEvent } from './events.ts'
import { Idling } from './idling.ts'
import { LimitWatch } from './limit-watch.ts'
import { ManagedInstance } from './managed.ts'
import { planGrant } from './planning.ts'
import type { Starter } from './starter.ts'
import { readStory } from './story.ts'
import { startTimer } from './timer.ts'

export interface FleetParts {
  readonly starter: Starter
  readonly admission: Admission
  readonly dataPlane: DataPlane
  readonly events: EventLog
  readonly bridge: Pick<NodeBridge, 'packetsFrom'>
  /** Nothing is begun while the node starts or ends. */
  readonly isOpen: () => boolean
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
  /**
   * An instance that served ended without being asked to.
   *
   * @returns a hint for the clients whose requests it broke
   */
  readonly onCrash: (managed: ManagedInstance) => string
  /** Whether it may be paused or stopped when it is idle. */
  readonly mayIdle: (managed: ManagedInstance) => boolean
}

/** An instance that is being prepared and has no id yet. */
interface Preparation {
  readonly revision: number
  isCanceled: boolean
  readonly ended: Promise<void>
}

const ENDED_KEPT_MAX = 5

export class Fleet {
  readonly #parts: FleetParts
  readonly #observer: FleetObserver
  readonly #instances = new Map<string, ManagedInstance>()
  readonly #preparations = new Set<Preparation>()
  readonly #idling: Idling
  readonly #limitWatch = new LimitWatch((managed, event) => this.#event(managed, event))
  #sequence = 0
  #isClosed = false

  constructor(parts: FleetParts, observer: FleetObserver) {
    this.#parts = parts
    this.#observer = observer
    this.#idling = new Idling({
      dataPlane: parts.dataPlane,
      bridge: parts.bridge,
      mayIdle: observer.mayIdle,
      onChange: observer.onChange,
      onEvent: (managed, event) => this.#event(managed, event),
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
    const preparing = [...this.#preparations].filter((one) => one.revision === revision).length
    return this.counted(revision).length + preparing
  }

  /** @throws QuiverError whatever the start failed with; the observer is told too */
  async start(task: Task, revision: Revision, stdio: StdioPlan): Promise<ManagedInstance> {
    const managed = await this.prepare(task, revision, stdio)
    await this.launch(managed)
    return managed
  }

  /** The part of a start before the first process. */
  async prepare(
    task: Task,
    revision: Revision,
    stdio: StdioPlan,
    mounts: readonly Mount[] = [],
  ): Promise<ManagedInstance> {
    if (!this.#parts.isOpen()) throw nodeEnding()
    const wakeAtMs = monotonicMs()
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const preparation = { revision: revision.number, isCanceled: false, ended }
    this.#preparations.add(preparation)
    try {
      const { instance, materialisedAtNs } = await this.#admit(task, revision, stdio, mounts)
      const sequence = ++this.#sequence
      const managed = new ManagedInstance(instance, { sequence, wakeAtMs, createdAtMs: Date.now() })
      managed.mark('materialise', materialisedAtNs)
      this.#keep(managed)
      if (preparation.isCanceled) {
        await this.retire(managed, 'STOPPED', 0)
        throw startCanceled(task.name)
      }
      this.#parts.dataPlane.grant(planGrant(instance.plan))
      return managed
    } catch (thrown) {
      if (!preparation.isCanceled) this.#observer.onStartFailed(revision.number, undefined, thrown)
      throw thrown
    } finally {
      this.#preparations.delete(preparation)
      end()
    }
  }

  /** Lets those that have no id yet come to nothing. Resolves when they have. */
  async cancelPreparations(): Promise<void> {
    const preparations = [...this.#preparations]
    for (const preparation of preparations) preparation.isCanceled = true
    await Promise.all(preparations.map(({ ended }) => ended))
  }

  /** @throws QuiverError whatever the start failed with; `canceled/START_CANCELED` when it was stopped meanwhile */
  async launch(managed: ManagedInstance): Promise<void> {
    const { task, isRun } = managed.instance.plan
    if (managed.role === 'retiring' || !managed.isLive) throw startCanceled(task)
    this.#event(managed, { type: 'instanceStarting', message: `${managed.id} is starting` })
    managed.isLaunching = true
    try {
      managed.mark('ready', await this.#parts.starter.start(managed.instance))
      if (!managed.isLive && !isRun) throw endedAtOnce(managed)
    } catch (thrown) {
      managed.isLaunching = false
      if (isRetiring(managed)) {
        this.#observer.onChange()
        throw startCanceled(task)
      }
      managed.error = errorBody(thrown)
      this.#observer.onStartFailed(managed.revision, managed, thrown)
      this.#observer.onChange()
      throw thrown
    }
    managed.isLaunching = false
    if (isRetiring(managed)) throw startCanceled(task)
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
    // What was only being started has no story yet: nothing is younger.
    const sequence = story?.sequence ?? this.#sequence + 1
    this.#sequence = Math.max(this.#sequence, sequence)
    const managed = new ManagedInstance(instance, {
      sequence,
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

  async resume(managed: ManagedInstance): Promise<void> {
    await this.#idling.resume(managed)
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
    if (managed.role === 'retiring' && drainMs === null) return
    const isRouted = managed.role === 'serving' || managed.role === 'draining'
    managed.role = 'retiring'
    this.#idling.unwatch(managed)
    this.#observer.onChange()
    if (isRouted) managed.drained = this.#parts.dataPlane.drain(managed.id, 'retire')
    await this.#untilDrained(managed, drainMs)
    const { stopTimeoutMs } = managed.instance.plan.spec.limits
    await managed.instance.stop(reason, Math.min(stopTimeoutMs, graceMsMax))
  }

  /** Requests were in flight or ended: the idle clock starts again. */
  touch(managed: ManagedInstance): void {
    this.#idling.watch(managed)
    this.#limitWatch.touch(managed)
  }

  touchAll(): void {
    for (const managed of this.#instances.values()) this.#idling.watch(managed)
  }

  /** Lets go of everything without ending it. */
  close(): void {
    this.#isClosed = true
    this.#idling.clear()
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
    this.#idling.watch(managed)
    this.#observer.onChange()
  }

  #limitWallTime(managed: ManagedInstance): void {
    const { wallTimeMs, stopTimeoutMs } = managed.instance.plan.spec.limits
    if (wallTimeMs === null) return
    const leftMs = wallTimeMs - (monotonicMs() - (managed.readyAtMs ?? 0))
    const timer = startTimer(leftMs, () => {
      this.#event(managed, {
        type: 'limitReached',
        reason: 'WALL_TIME',
        message: `${managed.id} reached limits.wall_time`,
      })
      void this.retire(managed, 'WALL_TIME', stopTimeoutMs)
    })
    void managed.instance.exited.then(() => timer[Symbol.dispose]())
  }

  /** A place that an instance takes is given back by its end. */
  async #admit(task: Task, revision: Revision, stdio: StdioPlan, mounts: readonly Mount[]) {
    const { admission, starter } = this.#parts
    admission.enter()
    try {
      return await starter.prepare(task, revision, stdio, mounts)
    } catch (thrown) {
      admission.leave()
      throw thrown
    }
  }

  /** Whoever is in more of a hurry than the one who began to drain it does not wait longer. */
  async #untilDrained(managed: ManagedInstance, drainMs: number | null): Promise<void> {
    if (managed.drained === undefined) return
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = drainMs === null ? undefined : startTimer(drainMs, resolve)
    await Promise.race([managed.drained, late, managed.instance.exited])
    timer?.[Symbol.dispose]()
  }

  #keep(managed: ManagedInstance): void {
    this.#instances.set(managed.id, managed)
    managed.instance.watchLimits((met) => this.#limited(managed, met))
    void managed.instance.exited.then((report) => this.#ended(managed, report))
  }

  #limited(managed: ManagedInstance, met: LimitMet): void {
    if (this.#isClosed) return
    managed.error = met.error
    if (met.isFatal) this.#parts.dataPlane.tellBreak(managed.id, met.error)
    this.#limitWatch.met(managed, met)
  }

  #ended(managed: ManagedInstance, report: ExitReport): void {
    managed.exit = report
    this.#idling.unwatch(managed)
    this.#parts.dataPlane.revoke(managed.id)
    this.#parts.admission.leave()
    if (this.#isClosed || managed.isEndTold) return
    managed.isEndTold = true
    managed.save()
    void this.#limitWatch.look(managed)
    const message = `${managed.id} ended: ${describeExit(report, managed.instance.plan.spec)}`
    this.#event(managed, { type: 'instanceExited', reason: report.reason, message })
    const wasServing = managed.readyAtMs !== undefined
    const isDone = managed.instance.plan.isRun && report.reason === 'COMPLETED'
    if (wasServing && isUnexpected(report) && !isDone) {
      const hint = this.#observer.onCrash(managed)
      this.#parts.dataPlane.tellExit(managed.id, exitError(managed, report, hint))
    }
    this.#forgetOldest()
    // The end of a start that failed is told by `launch`, with its reason; until then nobody tries again.
    if (!managed.isLaunching) this.#observer.onChange()
  }

  #forgetOldest(): void {
    const ended = this.all.filter(({ isLive }) => !isLive)
    const oldest = ended.toSorted((a, b) => a.sequence - b.sequence)
    for (const managed of oldest.slice(0, -ENDED_KEPT_MAX)) {
      this.#instances.delete(managed.id)
      // What cannot be deleted now is found and deleted by the next control process.
      managed.remove().catch(() => {})
    }
  }

  #event(managed: ManagedInstance, event: NewEvent): void {
    const { id, revision, instance } = managed
    this.#parts.events.emit({ task: instance.plan.task, revision, instance: id, ...event })
  }
}

/** Asked anew after something was awaited, for the compiler's sake too. */
function isRetiring({ role }: ManagedInstance): boolean {
  return role === 'retiring'
}

function nodeEnding(): QuiverError {
  return new QuiverError('unavailable', 'NODE_ENDING', 'the node is ending', {
    hint: 'Try again when it is up: "quiver up".',
  })
}

function startCanceled(task: string): QuiverError {
  const message = `${task} was stopped while it started`
  return new QuiverError('canceled', 'START_CANCELED', message, {
    hint: `Start it again with "quiver start ${task}".`,
  })
}

function endedAtOnce({ id, exit, instance }: ManagedInstance): QuiverError {
  const how = exit === null ? 'it is gone' : describeExit(exit, instance.plan.spec)
  const message = `${id} ended as soon as it was ready: ${how}`
  return new QuiverError('failed_precondition', 'EXITED_EARLY', message, {
    hint: `See "quiver logs ${instance.plan.task} --previous".`,
  })
}
