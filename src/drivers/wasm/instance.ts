/** One module in an executor: a thread with a port of its own, and a fresh instance of the module for each request. */

import { mkdirSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'

import { assert } from '../../core/assert.ts'
import { monotonicNs } from '../../core/clock.ts'
import { QuiverError } from '../../core/error.ts'
import {
  TRANSITIONS,
  type ExitReason,
  type ExitReport,
  type InstanceState,
  type LimitMet,
  type Phase,
  type Usage,
} from '../../core/instance.ts'
import { toError, type Failure, type LogStream } from '../../executor/protocol.ts'
import type { Endpoint, Instance, InstancePlan, Session } from '../driver.ts'
import { LogWriter } from '../log.ts'
import { buildModulePlan, findScript } from '../module-plan.ts'
import { readReport, readStopReason, writeReport, writeStopReason } from '../record.ts'

import { EGRESS_PATH, type Executor, type Executors, type Tenant } from './executors.ts'
import { readImageFiles } from './files.ts'
import { readScript } from './script.ts'

/** A script is all that its engine sees. */
const NO_FILES: ReadonlyMap<string, Uint8Array> = new Map()
const NOWHERE: Endpoint = { kind: 'descriptor', path: '/nonexistent' }
const NO_USAGE: Usage = {
  memoryBytes: 0,
  memoryBytesMax: 0,
  cpuNs: 0,
  pids: 0,
  oomKills: 0,
  pidsRefused: 0,
}

export class WasmInstance implements Instance, Tenant {
  readonly plan: InstancePlan
  readonly folder: string
  readonly canPause = false
  readonly #executors: Executors
  readonly #log: LogWriter
  readonly #exited = Promise.withResolvers<ExitReport>()
  readonly #phases: Phase[] = []
  #state: InstanceState = 'prepared'
  #executor: Executor | undefined
  #port = 0
  #stopReason: ExitReason | undefined
  #isEnding = false
  #tellLimit: ((met: LimitMet) => void) | undefined

  constructor(plan: InstancePlan, folder: string, executors: Executors) {
    this.plan = plan
    this.folder = folder
    this.#executors = executors
    const out = path.join(folder, 'out')
    mkdirSync(out, { recursive: true, mode: 0o711 })
    this.#log = new LogWriter(out, plan.spec.limits.logBytes)
  }

  get id(): string {
    return this.plan.id
  }

  get state(): InstanceState {
    return this.#state
  }

  get phases(): readonly Phase[] {
    return this.#phases
  }

  get isEnding(): boolean {
    return this.#isEnding
  }

  get stopReason(): ExitReason | undefined {
    return this.#stopReason
  }

  get endpoint(): Endpoint {
    const executor = this.#executor
    return executor === undefined ? NOWHERE : { ...executor.process.endpoint, port: this.#port }
  }

  get exited(): Promise<ExitReport> {
    return this.#exited.promise
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#move('starting')
    const { plan } = this
    try {
      const script = findScript(plan)
      const [executor, module, source, files] = await Promise.all([
        this.#executors.take(),
        readModule(path.join(plan.binaryTree, plan.entry)),
        script === null ? null : readScript(script),
        script === null ? readImageFiles(plan.imageTree) : NO_FILES,
      ])
      this.#reach('sandbox')
      signal.throwIfAborted()
      this.#join(executor)
      const { port } = await executor.link.serve(
        plan.id,
        buildModulePlan(plan, EGRESS_PATH, source),
        module,
        files,
      )
      this.#port = port
      this.#reach('listen')
      signal.throwIfAborted()
      if (this.#state === 'starting') this.#move('running')
    } catch (thrown) {
      await this.#end(signal.aborted ? 'START_TIMEOUT' : 'START_FAILED', 0)
      throw signal.aborted ? timedOut(plan) : QuiverError.from(thrown)
    }
    if (this.#isOver()) throw new QuiverError('unavailable', 'INSTANCE_GONE', `${plan.id} ended`)
  }

  /** Takes over what an earlier control process started. */
  reconnect(executor: Executor, port: number): void {
    this.#stopReason = readStopReason(this.folder)
    this.#join(executor)
    this.#port = port
    this.#move('starting')
    this.#move('running')
  }

  /** Tells the end of an instance whose executor was gone when it was found. */
  bury(): void {
    this.#stopReason ??= readStopReason(this.folder)
    this.#finish(this.#stopReason ?? 'LOST')
  }

  async settle(): Promise<void> {}

  async pause(): Promise<void> {
    assert(false, 'pause() of a module')
  }

  async resume(): Promise<void> {}

  async signal(): Promise<void> {
    throw noProcess(this.plan, 'no signal can be sent to it')
  }

  async stop(reason: ExitReason, graceMs: number): Promise<ExitReport> {
    if (!this.#isOver()) await this.#end(reason, graceMs)
    return await this.exited
  }

  async usage(): Promise<Usage> {
    const executor = this.#executor
    if (executor?.isUsable !== true) return NO_USAGE
    // What ends meanwhile uses nothing any more.
    const used = await executor.link.usage(this.id).catch(() => undefined)
    return used === undefined ? NO_USAGE : { ...NO_USAGE, ...used, pids: 1 }
  }

  async exec(): Promise<Session> {
    throw noProcess(this.plan, 'nothing can be run in it')
  }

  async attach(): Promise<Session> {
    throw noProcess(this.plan, 'there is no stdin to attach to')
  }

  async remove(): Promise<void> {
    assert(this.#isOver(), `remove() of an instance that is ${this.#state}`)
    await rm(this.folder, { recursive: true, force: true })
  }

  onLog(stream: LogStream, atMs: number, bytes: Uint8Array): void {
    this.#log.write(stream, atMs, bytes)
  }

  onBreach(failure: Failure, isFatal: boolean): void {
    const { code, reason, message, hint } = toError(failure)
    const error = { code, reason, message, ...(hint === undefined ? {} : { hint }) }
    this.#tellLimit?.({ error, isFatal })
  }

  watchLimits(tell: (met: LimitMet) => void): void {
    this.#tellLimit = tell
  }

  onLost(): void {
    void this.#executor?.process.exited.then(({ reason }) => {
      this.#finish(this.#stopReason ?? (reason === 'STOPPED' ? 'KILLED' : reason))
    })
  }

  onGone(): void {
    this.#finish(this.#stopReason ?? 'LOST')
  }

  /** Lets go of it; it goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#executor?.delete(this)
    this.#log[Symbol.dispose]()
  }

  #join(executor: Executor): void {
    this.#executor = executor
    executor.add(this)
  }

  async #end(reason: ExitReason, graceMs: number): Promise<void> {
    if (this.#stopReason === undefined) {
      this.#stopReason = reason
      writeStopReason(this.folder, reason)
    }
    const executor = this.#executor
    if (executor?.isUsable === true && this.#port !== 0) {
      // An executor that is gone has nothing to stop.
      await executor.link.stop(this.id, graceMs).catch(() => {})
    }
    this.#finish(this.#stopReason)
  }

  #finish(reason: ExitReason): void {
    if (this.#isOver()) return
    this.#isEnding = true
    this.#executor?.delete(this)
    this.#executors.release()
    const report = readReport(this.folder) ?? {
      status: null,
      signal: null,
      isCoreDumped: false,
      reason,
      exitedAtMs: Date.now(),
    }
    writeReport(this.folder, report)
    this.#log[Symbol.dispose]()
    const isWanted = ['STOPPED', 'IDLE', 'REPLACED', 'SCALED_DOWN'].includes(report.reason)
    this.#move(isWanted ? 'exited' : 'failed')
    this.#exited.resolve(report)
  }

  #reach(name: Phase['name']): void {
    this.#phases.push({ name, atNs: monotonicNs() })
  }

  #isOver(): boolean {
    return this.#state === 'exited' || this.#state === 'failed'
  }

  #move(next: InstanceState): void {
    assert(TRANSITIONS[this.#state].includes(next), `illegal move ${this.#state} → ${next}`)
    this.#state = next
  }
}

/** @throws QuiverError `failed_precondition/START_FAILED` */
async function readModule(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    const message = `the module ${file} cannot be read`
    throw new QuiverError('failed_precondition', 'START_FAILED', message, {
      hint: 'Deploy it again: "quiver deploy" sends what the node lacks.',
      cause,
    })
  }
}

function timedOut({ task, spec }: InstancePlan): QuiverError {
  const message = `${task} was not ready within ${spec.limits.startTimeoutMs} ms`
  return new QuiverError('deadline_exceeded', 'START_TIMEOUT', message, {
    hint: 'Raise limits.start_timeout in quiver.toml if the module needs longer.',
  })
}

function noProcess({ task }: InstancePlan, what: string): QuiverError {
  return new QuiverError(
    'unimplemented',
    'INSTANCE_HAS_NO_PROCESS',
    `${task} is a WebAssembly module: ${what}`,
    { hint: 'Set isolation = "sandbox" to give it a process of its own.' },
  )
}
