/**
 * One served module in the main thread of an executor: the thread that serves it, and the watch over it. A thread that is
 * stuck in its guest is replaced: its successor listens on the same port before it is ended, and only the requests it had
 * are lost.
 */

import { readFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { Worker } from 'node:worker_threads'

import { errnoOf, QuiverError } from '../../core/error.ts'
import { toError, type Failure, type LogStream, type ModuleUsage } from '../protocol.ts'
import { breach, formatAnswer, toFailure } from '../run/failure.ts'
import type { ServedModule } from '../run/runner.ts'

import { Beat } from './beat.ts'
import { PendingAnswers } from './pending-answers.ts'
import type { FromThread, ThreadData, ToThread } from './thread.ts'

export interface ModuleObserver {
  onLog(stream: LogStream, atMs: number, bytes: Uint8Array): void
  /** A guest was ended for a limit. @param isFatal  with all requests that were in flight; the next ones are served */
  onBreach(error: Failure, isFatal: boolean): void
}

/** Computing for longer than this without a pause, a thread makes room for those of others. */
const NICE_AFTER_MS = 50
/** No more than that: it may hold a lock of the engine that others wait for. */
const NICE = 10
/** JavaScript of a thread: parser, buffers, the runner. What guests hold is outside of it. */
const HEAP_MIB = 128
const YOUNG_MIB = 48
const STACK_MIB = 4

/** A thread that serves nothing yet: starting one takes longer than giving it a module. */
export class BlankThread {
  readonly worker: Worker
  readonly beat = new Beat()
  readonly pending = new PendingAnswers()
  #isNice = false
  /** Nanoseconds on a processor when it was first seen stuck; null while it is not. */
  #stuckFromNs: number | null = null

  constructor() {
    const workerData: ThreadData = { beat: this.beat.memory, pending: this.pending.memory }
    const resourceLimits = {
      maxOldGenerationSizeMb: HEAP_MIB,
      maxYoungGenerationSizeMb: YOUNG_MIB,
      stackSizeMb: STACK_MIB,
    }
    const file = new URL(
      import.meta.url.endsWith('.ts') ? 'thread.ts' : 'thread.js',
      import.meta.url,
    )
    this.worker = new Worker(file, { workerData, resourceLimits, env: {}, stdin: false })
  }

  /** For how long it has been on a processor since it last came back. @param stuckMs  by the clock: less than this */
  computedMs(stuckMs: number): number {
    if (stuckMs <= NICE_AFTER_MS) {
      this.#stuckFromNs = null
      return 0
    }
    const nowNs = this.cpuNs
    // The clock has to do where the kernel does not tell.
    if (nowNs === 0) return stuckMs
    this.#stuckFromNs ??= nowNs
    return (nowNs - this.#stuckFromNs) / 1e6
  }

  /** Lets others go first, from now on: nobody without privileges can take that back. */
  beNice(): void {
    const { threadId } = this.beat
    if (this.#isNice || threadId === 0) return
    this.#isNice = true
    try {
      setPriority(threadId, NICE)
    } catch {
      // It ended, or the kernel does not let us: others still have their turn.
    }
  }

  /** Nanoseconds on a processor; 0 where the kernel does not tell. */
  get cpuNs(): number {
    try {
      const [ns = ''] = readFileSync(
        `/proc/self/task/${this.beat.threadId}/schedstat`,
        'latin1',
      ).split(' ')
      return Number(ns)
    } catch {
      return 0
    }
  }
}

export type TakeThread = () => BlankThread

export class ModuleServer implements AsyncDisposable {
  readonly served: ServedModule
  readonly #take: TakeThread
  readonly #observer: ModuleObserver
  #thread: BlankThread | undefined
  #port: number
  /** Of threads that were replaced. */
  #formerCpuNs = 0
  #isEnding = false
  #isReplacing = false

  /** @param port  0: any free one */
  constructor(served: ServedModule, take: TakeThread, observer: ModuleObserver, port = 0) {
    this.#port = port
    this.served = served
    this.#take = take
    this.#observer = observer
  }

  get port(): number {
    return this.#port
  }

  /** Resolves when it listens. @throws QuiverError `unavailable/INSTANTIATION_FAILED` */
  async start(): Promise<void> {
    await this.#startThread(0)
  }

  /** Called every so often by whoever owns all modules of the process. */
  watch(): void {
    const thread = this.#thread
    if (thread === undefined) return
    const { cpuTimeMs, requestTimeoutMs } = this.served.plan.limits
    const { stuckMs } = thread.beat
    if (stuckMs > NICE_AFTER_MS) thread.beNice()
    if (thread.computedMs(stuckMs) > cpuTimeMs) {
      const what = `a request computed for longer than ${cpuTimeMs} ms without a pause`
      void this.#replace(breach('CPU_TIME', what))
    } else if (stuckMs > Math.max(cpuTimeMs, requestTimeoutMs)) {
      // Nobody waits for it any more, and others of its task do.
      const what = `a request computed for longer than ${requestTimeoutMs} ms, while others had the processors`
      void this.#replace(breach('REQUEST_TIMEOUT', what))
    }
  }

  /** Answers what it has, for so long, and ends. */
  async stop(graceMs: number): Promise<void> {
    const worker = this.#thread?.worker
    this.#isEnding = true
    if (worker !== undefined && graceMs > 0) {
      const drained = awaitMessage(worker, 'idle', AbortSignal.timeout(graceMs)).catch(() => {})
      tell(worker, { type: 'drain' })
      await drained
    }
    await this[Symbol.asyncDispose]()
  }

  usage(): ModuleUsage {
    const { memoryBytes } = this.served.plan.limits
    return {
      memoryBytes: this.#thread?.beat.heldBytes ?? 0,
      memoryBytesMax: memoryBytes,
      cpuNs: this.#formerCpuNs + (this.#thread?.cpuNs ?? 0),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    await this.#thread?.worker.terminate()
    this.#thread = undefined
  }

  /** @param strikes  threads in a row that were lost to a limit */
  async #startThread(strikes: number): Promise<void> {
    const thread = this.#take()
    // What computed too long before will do so again.
    if (strikes > 0) thread.beNice()
    const { worker } = thread
    worker.on('message', (message: FromThread) => {
      if (message.type === 'log') this.#observer.onLog(message.stream, message.atMs, message.bytes)
      if (message.type === 'breach') this.#observer.onBreach(message.error, false)
    })
    worker.on('error', (thrown) => this.#onError(thread, QuiverError.from(thrown)))
    const listening = awaitMessage(worker, 'listening', AbortSignal.timeout(START_TIMEOUT_MS))
    tell(worker, { type: 'serve', served: this.served, port: this.#port, strikes })
    try {
      this.#port = (await listening).port
    } catch (thrown) {
      await worker.terminate()
      throw thrown
    }
    this.#thread = thread
  }

  async #replace(error: QuiverError): Promise<void> {
    if (this.#isReplacing || this.#isEnding) return
    this.#isReplacing = true
    const lost = this.#thread
    try {
      // Whoever comes back at once finds the new one.
      await this.#startThread((lost?.beat.strikes ?? 0) + 1)
      // Told before it ends, so that whoever lost a request knows why.
      lost?.pending.answerAll((isHead) => formatAnswer(error, isHead))
      this.#observer.onBreach(toFailure(error), true)
      this.#log(error)
    } catch (thrown) {
      // The next watch finds the lost one still stuck, and tries again.
      this.#log(QuiverError.from(thrown))
    } finally {
      this.#isReplacing = false
      this.#formerCpuNs += lost?.cpuNs ?? 0
      await lost?.worker.terminate()
    }
  }

  #log({ message, reason }: QuiverError): void {
    this.#observer.onLog('quiver', Date.now(), Buffer.from(`${message} (${reason})\n`))
  }

  /** A thread ends by itself only when its heap is full, or by a bug. */
  #onError(thread: BlankThread, error: QuiverError): void {
    if (this.#thread !== thread) return
    const isFull = errnoOf(error.cause) === 'ERR_WORKER_OUT_OF_MEMORY'
    const what = 'the requests in flight needed too much memory'
    void this.#replace(isFull ? breach('OUT_OF_MEMORY', what) : error)
  }
}

const START_TIMEOUT_MS = 10_000

function tell(worker: Worker, message: ToThread): void {
  worker.postMessage(message, [])
}

/** @throws QuiverError when the thread says that it failed, or ends */
async function awaitMessage<T extends FromThread['type']>(
  worker: Worker,
  type: T,
  signal: AbortSignal,
): Promise<Extract<FromThread, { type: T }>> {
  const settled = Promise.withResolvers<Extract<FromThread, { type: T }>>()
  const onMessage = (message: FromThread): void => {
    if (isOf(message, type)) settled.resolve(message)
    if (message.type === 'failed') settled.reject(toError(message.error))
  }
  const onExit = (): void => settled.reject(failed('its thread ended'))
  const onAbort = (): void => settled.reject(failed('it took too long'))
  worker.on('message', onMessage)
  worker.once('exit', onExit)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await settled.promise
  } finally {
    worker.off('message', onMessage)
    worker.off('exit', onExit)
    signal.removeEventListener('abort', onAbort)
  }
}

function isOf<T extends FromThread['type']>(
  message: FromThread,
  type: T,
): message is Extract<FromThread, { type: T }> {
  return message.type === type
}

function failed(why: string): QuiverError {
  return new QuiverError('unavailable', 'INSTANTIATION_FAILED', `the module was not served: ${why}`)
}
