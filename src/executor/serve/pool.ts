/**
 * The executor as control sees it: modules that are served side by side, each by a thread and on a port of its own. What it
 * says about them while control is away is kept, in a bounded form, until control is back.
 */

import { createServer, type Socket } from 'node:net'

import { QuiverError } from '../../core/error.ts'
import { inspectModule } from '../inspect.ts'
import {
  NO_OUTSIDE,
  readFrames,
  writeFrame,
  type Answers,
  type Asked,
  type FromExecutor,
  type Inspection,
  type ModuleDemand,
  type ModulePlan,
  type ScriptSource,
  type Serving,
} from '../protocol.ts'
import { toFailure } from '../run/failure.ts'
import { packFiles } from '../run/folders.ts'

import { BlankThread, ModuleServer, type ModuleObserver } from './module-server.ts'
import { prepareModule } from './prepare.ts'

const WATCH_MS = 50
const REFILL_MS = 30
/** Messages that wait for control. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024

interface Pending {
  readonly message: FromExecutor
  readonly bytes: Uint8Array
}

export class Pool {
  readonly #servers = new Map<string, ModuleServer>()
  #blank: BlankThread | undefined
  #control: Socket | undefined
  readonly #pending: Pending[] = []
  #pendingBytes = 0
  #watch: NodeJS.Timeout | undefined

  /** @param port  where control connects */
  listen(port: number): void {
    this.#blank = new BlankThread()
    const server = createServer({ noDelay: true }, (socket) => void this.#talk(socket))
    server.listen({ host: '127.0.0.1', port })
  }

  /** The newest connection is control's: an older one belongs to a control process that is gone, or is told that it should be. */
  async #talk(socket: Socket): Promise<void> {
    const former = this.#control
    this.#control = socket
    if (former !== undefined) {
      writeFrame(former, { type: 'replaced' })
      former.destroySoon()
    }
    socket.on('error', () => socket.destroy())
    socket.on('drain', () => this.#flush())
    this.#flush()
    try {
      for await (const { message, bytes } of readFrames<Asked>(socket)) {
        if (this.#control !== socket) break
        void this.#answer(socket, message, bytes)
      }
    } catch {
      // Control is gone; another one will come.
    }
    socket.destroy()
    if (this.#control === socket) this.#control = undefined
  }

  async #answer(socket: Socket, asked: Asked, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const answer = await this.#reply(asked, bytes)
    // Another connection numbers its questions by itself.
    if (this.#control === socket) this.#say(answer)
  }

  async #reply(asked: Asked, bytes: Uint8Array<ArrayBuffer>): Promise<FromExecutor> {
    const { id } = asked
    try {
      const result = JSON.stringify(await this.#do(asked, bytes))
      return { type: 'done', id, result }
    } catch (thrown) {
      return { type: 'failed', id, error: toFailure(QuiverError.from(thrown)) }
    }
  }

  async #do(asked: Asked, bytes: Uint8Array<ArrayBuffer>): Promise<Answers[keyof Answers]> {
    switch (asked.type) {
      case 'serve':
        return await this.#serve(asked, bytes)
      case 'stop':
        await this.#stop(asked.instance, asked.graceMs)
        return null
      case 'inspect':
        return await this.#inspect(bytes, asked.demand, asked.script)
      case 'list':
        return [...this.#servers].map(([instance, { port }]) => ({ instance, port }))
      case 'usage':
        return this.#require(asked.instance).usage()
      default:
        return asked satisfies never
    }
  }

  async #inspect(
    bytes: Uint8Array<ArrayBuffer>,
    demand: ModuleDemand | null,
    script: ScriptSource | null,
  ): Promise<Inspection> {
    const inspection = await inspectModule(bytes, demand, script !== null)
    // One that runs once says by itself what is wrong with it.
    if (script === null || demand === null || demand.isRun) return inspection
    const served = await prepareModule(bytes, planTrial(demand, script), NO_FILES)
    await using server = new ModuleServer(served, this.#takeThread, SILENT)
    await server.start()
    return inspection
  }

  async #serve(
    { instance, plan, files }: Extract<Asked, { type: 'serve' }>,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<Serving> {
    const moduleBytes = bytes.length - files.reduce((sum, { length }) => sum + length, 0)
    const packed = packFiles(files, bytes.subarray(moduleBytes))
    const prepared = await prepareModule(bytes.subarray(0, moduleBytes), plan, packed)
    const served = new ModuleServer(prepared, this.#takeThread, {
      onLog: (stream, atMs, text) => this.#say({ type: 'log', instance, stream, atMs }, text),
      onBreach: (error, isFatal) => this.#say({ type: 'breach', instance, error, isFatal }),
    })
    this.#servers.set(instance, served)
    try {
      await served.start()
    } catch (thrown) {
      this.#servers.delete(instance)
      await served[Symbol.asyncDispose]()
      throw thrown
    }
    this.#watch ??= setInterval(this.#watchAll, WATCH_MS)
    return { instance, port: served.port }
  }

  async #stop(instance: string, graceMs: number): Promise<void> {
    const server = this.#require(instance)
    await server.stop(graceMs)
    this.#servers.delete(instance)
    if (this.#servers.size > 0) return
    clearInterval(this.#watch)
    this.#watch = undefined
  }

  #require(instance: string): ModuleServer {
    const server = this.#servers.get(instance)
    if (server !== undefined) return server
    throw new QuiverError('not_found', 'INSTANCE_NOT_FOUND', `${instance} is not served here`)
  }

  /** One thread is always ready, so that a start waits for none. */
  readonly #takeThread = (): BlankThread => {
    const thread = this.#blank ?? new BlankThread()
    this.#blank = undefined
    // The next one can wait until this one has answered its first request.
    setTimeout(() => {
      this.#blank ??= new BlankThread()
    }, REFILL_MS)
    return thread
  }

  readonly #watchAll = (): void => {
    for (const server of this.#servers.values()) server.watch()
  }

  #say(message: FromExecutor, bytes: Uint8Array = EMPTY): void {
    const control = this.#control
    if (control !== undefined && this.#pending.length === 0 && !control.writableNeedDrain) {
      writeFrame(control, message, bytes)
      return
    }
    // What is said of instances is for whoever comes next.
    const isKept = message.type === 'log' || message.type === 'breach' || control !== undefined
    if (!isKept || this.#pendingBytes > PENDING_BYTES_MAX) return
    this.#pending.push({ message, bytes })
    this.#pendingBytes += bytes.length + OVERHEAD_BYTES
  }

  #flush(): void {
    const control = this.#control
    if (control === undefined) return
    for (const { message, bytes } of this.#pending.splice(0)) writeFrame(control, message, bytes)
    this.#pendingBytes = 0
  }
}

const EMPTY = new Uint8Array(0)
const NO_FILES = packFiles([], EMPTY)
const OVERHEAD_BYTES = 200
const SILENT: ModuleObserver = { onLog: () => {}, onBreach: () => {} }
const TRIAL_MS = 2000

/** A script is loaded, as for serving, to see whether it can be. */
function planTrial({ entry, memoryBytes }: ModuleDemand, script: ScriptSource): ModulePlan {
  const limits = {
    memoryBytes,
    cpuTimeMs: TRIAL_MS,
    cpuMillis: null,
    requestTimeoutMs: TRIAL_MS,
    outputBytes: 0,
    inputBytes: 0,
    files: 0,
    hostCalls: 1_000_000,
  }
  const plan = { task: '', args: [], argv0: '', env: {}, stdout: 'body', isReused: false } as const
  return { ...plan, entry, limits, outside: NO_OUTSIDE, script }
}
