/** One instance: from its folder to its exit report. What encloses its program, its driver says. */

import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { assert } from '../../core/assert.ts'
import { errnoOf, QuiverError } from '../../core/error.ts'
import {
  TRANSITIONS,
  type ExitReason,
  type ExitReport,
  type InstanceState,
  type Phase,
  type Usage,
} from '../../core/instance.ts'
import type { Endpoint, ExecRequest, Instance, InstancePlan, Session } from '../driver.ts'
import { readStopReason, writeStopReason } from '../record.ts'

import type { InstanceCgroup } from './cgroup.ts'
import { openAttach, openExec, watchEvents, type AinitEvent, type Channel } from './channel.ts'
import type { Enclosure } from './enclosure.ts'
import { concludeReport, isSuccess, startFailure, untilReported } from './ending.ts'
import type { ProcessHost } from './host.ts'
import { launch, type Launched } from './launch.ts'
import { Progress } from './progress.ts'
import { buildRecords, declaredPorts } from './records.ts'

export interface InstancePaths {
  readonly folder: string
  /** Prefix of the two sockets. */
  readonly socket: string
}

/** Time for a frozen task to be reported as such; beyond it something is wrong with the kernel. */
const FREEZE_TIMEOUT_MS = 5000
const SIGKILL = 9
/** For the first answer of a machine, and for the rest of a replay that did not come at once. */
const BOOTING_MS = 2000
const REPLAY_MS = 250
/** PID 1 waits up to 10 s for an attached reader that has not taken everything yet. */
const ENDING_MS = 11_000

export class ProcessInstance implements Instance {
  readonly plan: InstancePlan
  readonly folder: string
  readonly endpoint: Endpoint
  readonly #paths: InstancePaths
  readonly #host: ProcessHost
  readonly #enclosure: Enclosure
  readonly #cgroup: InstanceCgroup
  readonly #exited = Promise.withResolvers<ExitReport>()
  readonly #ready = Promise.withResolvers<void>()
  /** Resolves when ainit can be asked. */
  readonly #connected = Promise.withResolvers<void>()
  readonly #progress: Progress
  #state: InstanceState = 'prepared'
  #launched: Launched | undefined
  #channel: Channel | undefined
  #isLaunched = false
  /** Why Quiver ended it, when it did. */
  #stopReason: ExitReason | undefined

  constructor(
    plan: InstancePlan,
    enclosure: Enclosure,
    host: ProcessHost,
    paths: InstancePaths,
    cgroup: InstanceCgroup,
  ) {
    this.plan = plan
    this.#enclosure = enclosure
    this.folder = paths.folder
    this.endpoint = { kind: 'descriptor', path: `${paths.socket}.p` }
    this.#paths = paths
    this.#host = host
    this.#cgroup = cgroup
    this.#progress = new Progress(declaredPorts(plan), enclosure.phase)
    // Waited for by start() only; an instance may die when nobody does.
    this.#ready.promise.catch(() => {})
    this.#connected.promise.catch(() => {})
  }

  get state(): InstanceState {
    return this.#state
  }

  get phases(): readonly Phase[] {
    return this.#progress.phases
  }

  get isEnding(): boolean {
    return this.#isEnding
  }

  get stopReason(): ExitReason | undefined {
    return this.#stopReason
  }

  get exited(): Promise<ExitReport> {
    return this.#exited.promise
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#state === 'prepared') this.#move('starting')
    const abort = () => this.#ready.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (!this.#isLaunched) await this.#launch(signal)
      await this.#ready.promise
      // An instance that was adopted while running is ready already.
      if (this.#state === 'starting') this.#move('running')
    } catch (thrown) {
      const isTimeout = signal.aborted
      const end = this.#startEnd(isTimeout)
      this.#willStop(end)
      // What ends by itself still hands its last output and its status to whoever is attached.
      if (this.#isEnding)
        await Promise.race([this.exited, delay(ENDING_MS, undefined, { ref: false })])
      await this.#kill(end)
      const report = await this.exited
      // What could not be planned says itself why.
      if (!this.#isLaunched && !isTimeout && thrown instanceof QuiverError) throw thrown
      const hasRun = ['COMPLETED', 'EXITED', 'SIGNALED'].includes(report.reason)
      // Without a port to wait for, one that ended at once was started all the same.
      if (hasRun && declaredPorts(this.plan).length === 0) return
      throw await startFailure(this.plan, this.folder, {
        isTimeout,
        elsewhere: this.#progress.elsewhere,
        event: this.#progress.failure,
        isInside: this.#progress.isInside,
        report,
        cause: thrown,
      })
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /**
   * Takes over an instance that an earlier control process started.
   *
   * @throws QuiverError `unavailable/INSTANCE_GONE` when it does not answer (yet)
   */
  async reconnect(signal: AbortSignal): Promise<void> {
    const isFrozen = this.#cgroup.isFrozen
    // Who stands still as a whole answers nobody: it goes on for a moment.
    if (isFrozen && this.#enclosure.isFrozenWhole) this.#cgroup.thaw()
    const replayed = Promise.withResolvers<void>()
    this.#onReplayed = replayed.resolve
    await this.#watch()
    this.#isLaunched = true
    this.#state = 'starting'
    this.#stopReason = readStopReason(this.folder)
    const abort = () => replayed.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    // What dies meanwhile is finished by its closed connection; a machine that still boots goes on starting.
    const booting = this.#enclosure.isFrozenWhole
      ? [delay(BOOTING_MS, undefined, { ref: false })]
      : []
    await Promise.race([replayed.promise, this.exited, ...booting])
    signal.removeEventListener('abort', abort)
    if (this.#isOver() || !this.#progress.isReady) return
    this.#move('running')
    if (this.#cgroup.isFrozen) this.#move('paused')
    else if (isFrozen) await this.pause()
  }

  /** Tells the end of an instance that was dead when it was found. */
  async bury(): Promise<void> {
    this.#stopReason ??= readStopReason(this.folder)
    await this.#finish('LOST')
  }

  async settle(): Promise<void> {
    await this.#host.bridge?.announce(this.plan)
    try {
      this.#cgroup.limitCpu(this.plan.spec.limits.cpuMillis)
    } catch (thrown) {
      // It has ended, and its group with it.
      if (errnoOf(thrown) !== 'ENOENT' && errnoOf(thrown) !== 'ENODEV') throw thrown
    }
  }

  get canPause(): boolean {
    // Whoever speaks to it on the bridge could not wake it.
    return this.#cgroup.canFreeze && this.plan.bridge === undefined
  }

  async pause(): Promise<void> {
    assert(this.#state === 'running', `pause() of an instance that is ${this.#state}`)
    try {
      await this.#cgroup.freeze(AbortSignal.timeout(FREEZE_TIMEOUT_MS))
    } catch {
      // A process that does not freeze, or an end that came in between: it goes on as it is.
      this.#cgroup.thaw()
      return
    }
    // Whoever has begun to stop it wants it awake.
    if (this.#state === 'running' && this.#stopReason === undefined) this.#move('paused')
    else this.#cgroup.thaw()
  }

  async resume(): Promise<void> {
    if (this.#state !== 'paused') return
    this.#cgroup.thaw()
    this.#move('running')
  }

  async signal(signal: number): Promise<void> {
    this.#channel?.signal(signal)
  }

  async stop(reason: ExitReason, graceMs: number): Promise<ExitReport> {
    if (this.#isOver()) return await this.exited
    this.#willStop(reason)
    if (!this.#progress.hasExeced || graceMs <= 0) {
      await this.#kill(reason)
      return await this.exited
    }
    await this.resume()
    // It may be about to be paused.
    this.#cgroup.thaw()
    this.#channel?.signal(this.plan.spec.stopSignal)
    const timer = setTimeout(() => void this.#kill(reason), graceMs)
    const report = await this.exited
    clearTimeout(timer)
    return report
  }

  watchLimits(): void {}

  async usage(): Promise<Usage> {
    return this.#usageLast ?? this.#cgroup.usage()
  }

  async exec(request: ExecRequest): Promise<Session> {
    this.#assertLive()
    return await openExec(`${this.#paths.socket}.c`, this.plan.spec.workdir, request)
  }

  async attach(isPrimary: boolean): Promise<Session> {
    this.#assertLive()
    await this.#connected.promise
    const isReleasing = isPrimary && this.plan.stdio.isHeld && !this.#progress.hasExeced
    return await openAttach(`${this.#paths.socket}.c`, isPrimary, isReleasing)
  }

  async remove(): Promise<void> {
    assert(this.#isOver(), `remove() of an instance that is ${this.#state}`)
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Lets go of it; it goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLetGo = true
    this.#channel?.[Symbol.dispose]()
    this.#channel = undefined
  }

  async #launch(signal: AbortSignal): Promise<void> {
    const planning = this.#enclosure.planLaunch(this.plan, this.folder, signal)
    // A stop or the deadline ends the waiting: its report is written then, and nothing may begin any more.
    const planned = await Promise.race([planning, this.#ready.promise])
    if (planned === undefined || this.#isFinishing) return
    const { records, phase, begin } = planned
    this.#progress.enterBy(phase)
    const common = buildRecords(this.plan, this.#host, this.#paths, this.#cgroup)
    const launched = launch(this.#host.ainitPath, this.folder, [...common, ...records])
    this.#launched = launched
    this.#isLaunched = true
    void launched.ended.then(() => this.#finish('KILLED'))
    // One that hangs has the time of the start, and no more.
    await Promise.race([launched.bound, this.#ready.promise])
    if (begin !== undefined) await Promise.race([begin(this.#paths.socket), this.#ready.promise])
    try {
      await this.#watch()
    } catch (thrown) {
      // Gone before it could be listened to: its report says how, so it is not ended a second time.
      await Promise.race([this.exited, this.#ready.promise])
      throw thrown
    }
  }

  async #watch(): Promise<void> {
    this.#channel = await watchEvents(
      `${this.#paths.socket}.c`,
      (event) => this.#handle(event),
      () => void this.#finishDisconnected(),
    )
    this.#connected.resolve()
  }

  #onReplayed: (() => void) | undefined

  #handle(event: AinitEvent): void {
    const { name } = event
    this.#progress.add(event)
    // `init` is always the first: what follows it in the same turn is the replay.
    if (name === 'init') setImmediate(() => this.#endReplay())
    if (name === 'error' || name === 'exit') {
      this.#isEnding = true
      this.#ready.reject(new Error(`ainit said ${name}`))
    } else if (this.#progress.isReady) this.#ready.resolve()
  }

  /** Through a machine's channel the replay may come in pieces: what is not ready then is given the time of some. */
  #endReplay(): void {
    const isWhole = this.#progress.isReady || !this.#enclosure.isFrozenWhole
    const rest = isWhole ? undefined : delay(REPLAY_MS, undefined, { ref: false })
    void Promise.race([rest, this.#ready.promise.catch(() => {})]).then(() => this.#onReplayed?.())
  }

  #startEnd(isTimeout: boolean): ExitReason {
    if (!isTimeout) return 'START_FAILED'
    return this.#progress.elsewhere.length > 0 ? 'WRONG_PORT' : 'START_TIMEOUT'
  }

  #willStop(reason: ExitReason): void {
    if (this.#stopReason !== undefined) return
    this.#stopReason = reason
    writeStopReason(this.folder, reason)
  }

  async #kill(reason: ExitReason): Promise<void> {
    if (this.#isOver()) return
    this.#willStop(reason)
    if (!this.#isLaunched) return await this.#finish(reason)
    // Where there are no control groups, this is all that can be done.
    if (this.#channel === undefined) this.#launched?.kill()
    else this.#channel.signal(SIGKILL)
    await this.#cgroup.kill()
    await this.exited
  }

  /**
   * PID 1 is dying. Nobody else would tell of an adopted instance; and of one whose task is frozen, the end comes only
   * when it is thawed.
   */
  async #finishDisconnected(): Promise<void> {
    if (this.#isOver() || this.#channel === undefined) return
    if (this.#enclosure.isFrozenWhole) await untilReported(this.folder)
    await this.#finish('KILLED')
  }

  async #finish(fallback: ExitReason): Promise<void> {
    // Once let go of, its end is told by whoever has adopted it.
    if (this.#isFinishing || this.#isLetGo) return
    this.#isFinishing = true
    this.#isEnding = true
    this.#usageLast = this.#cgroup.usage()
    // Whatever it left in the background ends with it.
    await this.#cgroup.kill()
    await this.#cgroup.remove()
    await this.#host.bridge?.leave(this.plan)
    await this.#host.cores?.take(this.plan, this.folder, true)
    for (const suffix of ['.c', '.p', '.q'])
      await rm(`${this.#paths.socket}${suffix}`, { force: true })
    this.#channel?.[Symbol.dispose]()
    this.#channel = undefined

    const { event, report } = await concludeReport(this.folder, {
      stopReason: this.#stopReason,
      fallback,
      isOutOfMemory: this.#usageLast.oomKills > 0,
    })
    if (event.name === 'error') this.#progress.add(event)
    this.#move(isSuccess(report) ? 'exited' : 'failed')
    this.#ready.reject(new Error('the instance ended'))
    this.#connected.reject(new Error('the instance ended'))
    this.#exited.resolve(report)
  }

  #isFinishing = false
  #isEnding = false
  /** Read before the control group went. */
  #usageLast: Usage | undefined
  #isLetGo = false

  #isOver(): boolean {
    return this.#state === 'exited' || this.#state === 'failed'
  }

  #assertLive(): void {
    if (this.#state === 'running' || this.#state === 'paused' || this.#state === 'starting') return
    throw new QuiverError(
      'failed_precondition',
      'INSTANCE_NOT_RUNNING',
      `${this.plan.id} is ${this.#state}`,
      { hint: `Start it with "quiver start ${this.plan.task}".` },
    )
  }

  #move(next: InstanceState): void {
    assert(TRANSITIONS[this.#state].includes(next), `illegal move ${this.#state} → ${next}`)
    this.#state = next
  }
}
