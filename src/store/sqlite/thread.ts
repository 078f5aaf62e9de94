/** The event loop's side of the worker thread: starts it, queues requests into groups, resolves their answers. */

import { Worker } from 'node:worker_threads'

import { assert } from '../../core/assert.ts'
import type { QuiverError } from '../../core/error.ts'
import { BATCH_BYTES_MAX, storeClosed } from '../batch.ts'

import { stateUnavailable } from './errors.ts'
import {
  errorOf,
  type Answer,
  type Answers,
  type Committed,
  type FromWorker,
  type OpenOptions,
  type Outcome,
  type Request,
  type ToWorker,
} from './protocol.ts'

/** Bounds the memory of one transaction and how long one fsync makes others wait. */
const GROUP_REQUESTS_MAX = 4096

/** Limits are reserved lazily; a small young generation keeps an idle thread near 10 MiB. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 256, stackSizeMb: 1 }

interface Pending {
  readonly request: Request
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export class DatabaseThread implements AsyncDisposable {
  /** Called for each commit that changed something, in order, before its promise resolves. */
  onCommitted: (committed: Committed) => void = () => {}
  /** Called once if the thread ends by itself. */
  onEnded: (error: QuiverError) => void = () => {}

  readonly #path: string
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #opened = Promise.withResolvers<number>()
  #queue: Pending[] = []
  #underWay: readonly Pending[] = []
  #isClosing = false
  #ended: QuiverError | undefined

  constructor(path: string) {
    this.#path = path
    this.#worker = new Worker(workerUrl(), {
      name: 'store',
      resourceLimits: RESOURCE_LIMITS,
      // Not this process's own flags, some of which are about its main program.
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()))
    this.#worker.on('message', (message: FromWorker) => this.#receive(message))
    this.#worker.on('error', (error: Error) => this.#end(error.message))
    this.#worker.on('exit', () => this.#end('its thread ended'))
    // Only work under way keeps the process: nobody else can write, so an idle store has nothing to wait for.
    this.#worker.unref()
    // Whoever opens awaits it; a thread that is closed unopened has nobody to tell.
    this.#opened.promise.catch(() => {})
  }

  /** Resolves with the newest revision. */
  async open(options: OpenOptions): Promise<number> {
    this.#post({ type: 'open', options })
    return this.#opened.promise
  }

  /** Queues a request; `kind` says again what it is, for the type of the answer. */
  async ask<K extends keyof Answers>(kind: K, request: Request & { kind: K }): Promise<Answers[K]> {
    assert(request.kind === kind, 'one kind of request')
    const ended = this.#ended
    if (ended) throw ended
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#queue.push({ request, resolve, reject })
      // What is asked in the same turn of the event loop goes together.
      queueMicrotask(() => this.#flush())
    })
    // The worker answers each kind of request with its kind of answer; types do not cross threads.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return answer as Answers[K]
  }

  /** Lets everything queued finish, then closes the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= storeClosed()
    this.#isClosing = true
    this.#worker.ref()
    this.#flush()
    await this.#exited
  }

  #flush(): void {
    if (this.#underWay.length > 0) return
    const group = this.#takeGroup()
    if (group.length > 0) {
      this.#underWay = group
      const requests = group.map(({ request }) => request)
      return this.#post({ type: 'group', requests }, requests.flatMap(buffersOf))
    }
    if (!this.#isClosing) return
    this.#isClosing = false
    this.#post({ type: 'close' })
  }

  #takeGroup(): readonly Pending[] {
    let bytes = 0
    const end = this.#queue.findIndex(({ request }, index) => {
      bytes += bytesOf(request)
      return index >= GROUP_REQUESTS_MAX || (index > 0 && bytes > BATCH_BYTES_MAX)
    })
    return this.#queue.splice(0, end === -1 ? this.#queue.length : end)
  }

  #receive(message: FromWorker): void {
    if (message.type === 'opened') {
      this.#worker.unref()
      const { outcome } = message
      if (outcome.isOk) this.#opened.resolve(outcome.value.revision)
      else this.#opened.reject(errorOf(outcome.error))
      return
    }
    const group = this.#underWay
    this.#underWay = []
    this.#worker.unref()
    for (const [index, outcome] of message.outcomes.entries()) this.#settle(group[index], outcome)
    this.#flush()
  }

  #settle(pending: Pending | undefined, outcome: Outcome<Answer>): void {
    assert(pending !== undefined, 'one answer for each request')
    if (!outcome.isOk) return pending.reject(errorOf(outcome.error))
    if (isCommitted(outcome.value)) this.onCommitted(outcome.value)
    pending.resolve(outcome.value)
  }

  /** Also called when the thread ends on request; nobody waits then. */
  #end(message: string): void {
    const error = this.#ended ?? stateUnavailable(this.#path, message)
    this.#ended = error
    const waiting = [...this.#underWay, ...this.#queue]
    this.#underWay = []
    this.#queue = []
    for (const { reject } of waiting) reject(error)
    this.#opened.reject(error)
    this.onEnded(error)
  }

  #post(message: ToWorker, transferred: readonly ArrayBuffer[] = []): void {
    this.#worker.ref()
    this.#worker.postMessage(message, transferred)
  }
}

/** Unbuilt the worker is TypeScript, as this file is. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
}

function isCommitted(answer: Answer): answer is Committed {
  return typeof answer === 'object' && 'keys' in answer && answer.keys.length > 0
}

/** The values are copies of our own: they are moved, not copied again. */
function buffersOf(request: Request): readonly ArrayBuffer[] {
  if (request.kind !== 'commit') return []
  return request.operations.flatMap((operation) =>
    operation.kind === 'put' && operation.value.buffer instanceof ArrayBuffer
      ? [operation.value.buffer]
      : [],
  )
}

function bytesOf(request: Request): number {
  return buffersOf(request).reduce((sum, { byteLength }) => sum + byteLength, 0)
}
