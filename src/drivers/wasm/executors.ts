/**
 * The executors of a node: processes in the sandbox that serve modules. One is started when the first module needs it, and
 * ends a while after the last one is gone. All modules of one namespace share one; namespaces never share.
 */

import { randomBytes } from 'node:crypto'
import { totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

import { QuiverError } from '../../core/error.ts'
import type { TaskSpec } from '../../core/task.ts'
import type { Failure, LogStream, Serving } from '../../executor/protocol.ts'
import type { Driver, Instance, InstancePlan, OpenStream } from '../driver.ts'
import type { ExecutorTree } from '../module-plan.ts'

import { ExecutorLink } from './link.ts'

export interface ExecutorsHost {
  /** Starts processes, and finds them again. Nobody else uses its instances. */
  readonly processes: Driver
  readonly openStream: OpenStream
  readonly tree: () => Promise<ExecutorTree>
  /** Holds the socket on which executors ask for connections; a new node binds a new one in it. */
  readonly egressFolder: string
  /** The user that executors run as. */
  readonly uidIndex: number
}

/** Somebody who has a module in an executor. */
export interface Tenant {
  readonly id: string
  onLog(stream: LogStream, atMs: number, bytes: Uint8Array): void
  onBreach(error: Failure, isFatal: boolean): void
  /** The executor has ended, and the module with it. */
  onLost(): void
  /** The executor is there, and does not serve the module any more. */
  onGone(): void
}

const EXECUTOR_TASK = 'executor'
const CONTROL_PORT = 7000
/** Inside: the folder on the host, and the socket in it. */
const EGRESS_FOLDER = '/run/egress'
export const EGRESS_PATH = `${EGRESS_FOLDER}/executors.sock`
const START_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 5000
/** Between tries to talk to an executor again that lives: at first, and at most. */
const RETRY_MS = 50
const RETRY_MS_MAX = 5000
const IDLE_MS = 10 * 60_000
const STOP_GRACE_MS = 1000
const MIB = 1024 * 1024
/** Of the machine's memory, for all modules of a namespace together; each has its own limit. */
const MEMORY_SHARE = 0.5

type Process = Pick<Instance, 'endpoint' | 'exited' | 'isEnding' | 'remove' | 'state' | 'stop'>

export class Executor {
  readonly process: Process
  readonly #tenants = new Map<string, Tenant>()
  readonly #openStream: OpenStream
  /** Modules whose end the executor could not be told. */
  readonly #left = new Set<string>()
  #link: ExecutorLink | undefined
  /** The try to connect again that goes on; it never rejects. */
  #attempt: Promise<void> | undefined
  #isLetGo = false

  constructor(process: Process, openStream: OpenStream) {
    this.process = process
    this.#openStream = openStream
  }

  get link(): ExecutorLink {
    if (this.#link !== undefined) return this.#link
    throw notConnected()
  }

  get isUsable(): boolean {
    return this.#link !== undefined && this.process.state === 'running' && !this.process.isEnding
  }

  get isEmpty(): boolean {
    return this.#tenants.size === 0
  }

  /** Settles when it is known whether it can be talked to again. */
  get attempt(): Promise<void> | undefined {
    return this.#attempt
  }

  /** Once; when the connection breaks later, a new one is made. @throws QuiverError when it does not listen */
  async connect(): Promise<void> {
    await this.#open()
    void this.process.exited.then(() => this.#loseAll())
  }

  async #open(): Promise<void> {
    const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS)
    const stream = await this.#openStream(this.process.endpoint, CONTROL_PORT, signal)
    this.#link = new ExecutorLink(stream, {
      onLog: (instance, logged, atMs, bytes) => {
        this.#tenants.get(instance)?.onLog(logged, atMs, bytes)
      },
      onBreach: (instance, error, isFatal) => {
        this.#tenants.get(instance)?.onBreach(error, isFatal)
      },
      onLost: (isReplaced) => {
        this.#link = undefined
        this.#isLetGo ||= isReplaced
        void this.#reconnect()
      },
    })
  }

  /** The executor goes on without control, and so do its modules: only the talk with it is lost. */
  async #reconnect(): Promise<void> {
    for (let delayMs = RETRY_MS; this.#isAlone; delayMs = Math.min(2 * delayMs, RETRY_MS_MAX)) {
      if (this.#attempt !== undefined) return
      this.#attempt = this.#resume().finally(() => {
        this.#attempt = undefined
      })
      await this.#attempt
      if (!this.#isAlone) return
      await Promise.race([delay(delayMs, undefined, { ref: false }), this.process.exited])
    }
  }

  get #isAlone(): boolean {
    const { state, isEnding } = this.process
    return this.#link === undefined && !this.#isLetGo && state === 'running' && !isEnding
  }

  /** Nobody moves in meanwhile. What was asked and not answered has failed, whatever the executor did about it. */
  async #resume(): Promise<void> {
    try {
      await this.#open()
      const before = [...this.#tenants.values()]
      const link = this.link
      const served = new Set((await link.list()).map(({ instance }) => instance))
      for (const tenant of before) if (!served.has(tenant.id)) tenant.onGone()
      for (const id of this.#left) link.stop(id, 0).catch(() => {})
      this.#left.clear()
    } catch {
      // The next attempt tells.
      this.#link?.[Symbol.dispose]()
    }
  }

  add(tenant: Tenant): void {
    this.#tenants.set(tenant.id, tenant)
    if (this.process.state !== 'running') this.#loseAll()
  }

  delete(tenant: Tenant): void {
    this.#tenants.delete(tenant.id)
    if (this.#link === undefined) this.#left.add(tenant.id)
  }

  disconnect(): void {
    this.#isLetGo = true
    this.#link?.[Symbol.dispose]()
  }

  #loseAll(): void {
    const tenants = [...this.#tenants.values()]
    this.#tenants.clear()
    for (const tenant of tenants) tenant.onLost()
  }
}

/** With what it serves. */
export interface Adopted {
  readonly executor: Executor
  readonly serving: readonly Serving[]
}

export class Executors {
  readonly #host: ExecutorsHost
  readonly #all = new Set<Executor>()
  /** Each until its folder is gone. */
  readonly #endings = new Set<Promise<void>>()
  #starting: Promise<Executor> | undefined
  #idleTimer: NodeJS.Timeout | undefined

  constructor(host: ExecutorsHost) {
    this.#host = host
  }

  /** One that serves; started unless there is one. @throws QuiverError as the start of a process does */
  async take(): Promise<Executor> {
    await Promise.all([...this.#all].map(async (executor) => await executor.attempt))
    const usable = [...this.#all].find(({ isUsable }) => isUsable)
    if (usable !== undefined) return usable
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined
    })
    return await this.#starting
  }

  /** Takes over one that an earlier control process left. @returns undefined when it has ended, or is ended: it does not answer */
  async adopt(process: Instance): Promise<Adopted | undefined> {
    const executor = new Executor(process, this.#host.openStream)
    let serving: readonly Serving[]
    try {
      if (process.state !== 'running') throw notConnected()
      await executor.connect()
      serving = await executor.link.list()
    } catch {
      await process.stop('LOST', 0)
      await removeFolder(process)
      return undefined
    }
    this.#keep(executor)
    return { executor, serving }
  }

  /** A module is gone: when it was the last, the executor ends after a while. */
  release(): void {
    if (![...this.#all].some(({ isEmpty }) => isEmpty)) return
    this.#idleTimer?.close()
    this.#idleTimer = setTimeout(() => void this.#stopEmpty(), IDLE_MS).unref()
  }

  /** The node ends. */
  async stopAll(): Promise<void> {
    this.#idleTimer?.close()
    await Promise.all(
      [...this.#all].map((executor) => executor.process.stop('STOPPED', STOP_GRACE_MS)),
    )
    await Promise.all(this.#endings)
  }

  letGo(): void {
    this.#idleTimer?.close()
    for (const executor of this.#all) executor.disconnect()
  }

  async #stopEmpty(): Promise<void> {
    for (const executor of this.#all) {
      if (executor.isEmpty) await executor.process.stop('IDLE', STOP_GRACE_MS)
    }
  }

  async #start(): Promise<Executor> {
    const { processes, openStream, tree } = this.#host
    const process = await processes.prepare(planProcess(await tree(), this.#host))
    try {
      await process.start(AbortSignal.timeout(START_TIMEOUT_MS))
    } catch (thrown) {
      await removeFolder(process)
      throw thrown
    }
    const executor = new Executor(process, openStream)
    try {
      await executor.connect()
    } catch (thrown) {
      await process.stop('START_FAILED', 0)
      await removeFolder(process)
      throw thrown
    }
    this.#keep(executor)
    return executor
  }

  #keep(executor: Executor): void {
    this.#all.add(executor)
    const ending = executor.process.exited.then(async () => {
      this.#all.delete(executor)
      await removeFolder(executor.process)
      this.#endings.delete(ending)
    })
    this.#endings.add(ending)
  }
}

function notConnected(): QuiverError {
  return new QuiverError('unavailable', 'EXECUTOR_LOST', 'the executor is not connected')
}

/** What cannot be deleted now is found and deleted by the next control process. */
async function removeFolder(process: Process): Promise<void> {
  await process.remove().catch(() => {})
}

function planProcess(tree: ExecutorTree, { uidIndex, egressFolder }: ExecutorsHost): InstancePlan {
  return {
    id: `${EXECUTOR_TASK}-1-${randomBytes(4).toString('hex')}`,
    task: EXECUTOR_TASK,
    revision: 1,
    spec: buildSpec(tree),
    binaryTree: tree.path,
    // It has no files: the empty folder of its own tree.
    imageTree: `${tree.path}/app`,
    entry: tree.entry,
    mounts: [{ source: egressFolder, target: EGRESS_FOLDER, isWritable: false }],
    env: {},
    uidIndex,
    relays: [],
    wildcards: [],
    token: randomBytes(16).toString('hex'),
    stdio: { isTerminal: false, isHeld: false, hasStdin: false },
    isRun: false,
  }
}

function buildSpec(tree: ExecutorTree): TaskSpec {
  return {
    name: EXECUTOR_TASK,
    isolation: 'sandbox',
    args: [tree.main, 'pool', JSON.stringify({ port: CONTROL_PORT })],
    argv0: null,
    env: {},
    workdir: '/',
    http: null,
    ports: [{ port: CONTROL_PORT, publish: null }],
    scale: { min: 0, max: 1, concurrency: 1, pauseAfterMs: null, stopAfterMs: null },
    limits: {
      memoryBytes: Math.max(256 * MIB, Math.floor(totalmem() * MEMORY_SHARE)),
      cpuMillis: null,
      startCpuMillis: 64_000,
      pids: 1024,
      files: 4096,
      fileBytes: 0,
      tmpBytes: MIB,
      requestTimeoutMs: 60_000,
      startTimeoutMs: START_TIMEOUT_MS,
      stopTimeoutMs: STOP_GRACE_MS,
      wallTimeMs: null,
      bodyBytes: null,
      queueLength: 1,
      logBytes: MIB,
    },
    readyPath: null,
    allow: [],
    connect: [],
    network: 'private',
    isWritable: false,
    stopSignal: 15,
  }
}
