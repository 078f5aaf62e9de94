/**
 * One served module in the main thread of an executor: the thread that serves it, and the watch over it. A thread that is
 * stuck in its guest is replaced: its successor listens on the same port before it is ended, and only the requests it had
 * are lost.
 */

import { Worker } from 'node:worker_threads'

import { errnoOf, QuiverError } from '../../core/error.ts'
import { toError, type Failure, type LogStream, type ModuleUsage } from '../protocol.ts'
import { breach, toFailure } from '../run/failure.ts'
import type { ServedModule } from '../run/runner.ts'

import { Beat } from './beat.ts'
import type { FromThread, ThreadData, ToThread } from './thread.ts'

export interface ModuleObserver {
  onLog(stream: LogStream, atMs: number, bytes: Uint8Array): void
  /** Requests were lost; the next ones are served. */
  onBroke(error: Failure): void
}

/** JavaScript of a thread: parser, buffers, the runner. What guests hold is outside of it. */
const HEAP_MIB = 128
const YOUNG_MIB = 48
const STACK_MIB = 4

/** A thread that serves nothing yet: starting one takes longer than giving it a module. */
export class BlankThread {
  readonly worker: Worker
  readonly beat = new Beat()

  constructor() {
    const workerData: ThreadData = { beat: this.beat.memory }
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
}

export type TakeThread = () => BlankThread

export class ModuleServer implements AsyncDisposable {
  readonly served: ServedModule
  readonly #take: TakeThread
  readonly #observer: ModuleObserver
  #thread: BlankThread | undefined
  #port: number
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
    await this.#startThread()
  }

  /** Called every so often by whoever owns all modules of the process. */
  watch(): void {
    const { cpuTimeMs } = this.served.plan.limits
    if (this.#thread === undefined || this.#thread.beat.stuckMs <= cpuTimeMs) return
    const what = `the guest computed for longer than ${cpuTimeMs} ms without a pause`
    void this.#replace(breach('CPU_TIME', what))
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

  async usage(): Promise<ModuleUsage> {
    const { memoryBytes } = this.served.plan.limits
    const cpu = await this.#thread?.worker.cpuUsage()
    const cpuNs = ((cpu?.user ?? 0) + (cpu?.system ?? 0)) * 1000
    return { memoryBytes: 0, memoryBytesMax: memoryBytes, cpuNs }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    await this.#thread?.worker.terminate()
    this.#thread = undefined
  }

  async #startThread(): Promise<void> {
    const thread = this.#take()
    const { worker } = thread
    worker.on('message', (message: FromThread) => {
      if (message.type === 'log') this.#observer.onLog(message.stream, message.atMs, message.bytes)
    })
    worker.on('error', (thrown) => this.#onError(thread, QuiverError.from(thrown)))
    const listening = awaitMessage(worker, 'listening', AbortSignal.timeout(START_TIMEOUT_MS))
    tell(worker, { type: 'serve', served: this.served, port: this.#port })
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
    const stuck = this.#thread
    try {
      // First told, so that whoever lost a request can be told why.
      this.#observer.onBroke(toFailure(error))
      this.#observer.onLog(
        'quiver',
        Date.now(),
        Buffer.from(`${error.message} (${error.reason})\n`),
      )
      await this.#startThread()
    } finally {
      this.#isReplacing = false
      await stuck?.worker.terminate()
    }
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
