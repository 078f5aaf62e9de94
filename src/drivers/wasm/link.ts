/** Control's side of the talk with one executor (executor/protocol.ts): questions and answers, and what it says by itself. */

import type { Duplex } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import {
  readFrames,
  toError,
  writeFrame,
  type Answers,
  type Failure,
  type FromExecutor,
  type Inspection,
  type LogStream,
  type ModuleDemand,
  type ModulePlan,
  type ModuleUsage,
  type ScriptSource,
  type Serving,
  type ToExecutor,
} from '../../executor/protocol.ts'

export interface ExecutorObserver {
  onLog(instance: string, stream: LogStream, atMs: number, bytes: Uint8Array): void
  onBreach(instance: string, error: Failure, isFatal: boolean): void
  /** Nothing more will be heard or answered. @param isReplaced  by another control process: it is not ours any more */
  onLost(isReplaced: boolean): void
}

export class ExecutorLink implements Disposable {
  readonly #stream: Duplex
  readonly #observer: ExecutorObserver
  readonly #asked = new Map<number, PromiseWithResolvers<string>>()
  #lastId = 0
  #isLost = false
  #isReplaced = false

  constructor(stream: Duplex, observer: ExecutorObserver) {
    this.#stream = stream
    this.#observer = observer
    void this.#read()
  }

  /** @throws QuiverError as the executor says, or `unavailable/EXECUTOR_LOST` */
  async serve(
    instance: string,
    plan: ModulePlan,
    module: Uint8Array,
    files: ReadonlyMap<string, Uint8Array>,
  ): Promise<Serving> {
    const sizes = [...files].map(([path, { length }]) => ({ path, length }))
    const bytes = files.size === 0 ? module : Buffer.concat([module, ...files.values()])
    return await this.#ask({ type: 'serve', instance, plan, files: sizes }, bytes)
  }

  async stop(instance: string, graceMs: number): Promise<void> {
    await this.#ask({ type: 'stop', instance, graceMs })
  }

  async inspect(
    module: Uint8Array,
    demand: ModuleDemand | null,
    script: ScriptSource | null,
  ): Promise<Inspection> {
    return await this.#ask({ type: 'inspect', demand, script }, module)
  }

  async list(): Promise<readonly Serving[]> {
    return await this.#ask({ type: 'list' })
  }

  async usage(instance: string): Promise<ModuleUsage> {
    return await this.#ask({ type: 'usage', instance })
  }

  [Symbol.dispose](): void {
    this.#stream.destroy()
    this.#lose(new Error('control let go of it'))
  }

  async #ask<T extends ToExecutor['type']>(
    question: Extract<ToExecutor, { type: T }>,
    bytes?: Uint8Array,
  ): Promise<Answers[T]> {
    if (this.#isLost) throw lost()
    const id = ++this.#lastId
    const answered = Promise.withResolvers<string>()
    this.#asked.set(id, answered)
    writeFrame(this.#stream, { ...question, id }, bytes)
    const answer: Answers[T] = JSON.parse(await answered.promise)
    return answer
  }

  async #read(): Promise<void> {
    try {
      for await (const { message, bytes } of readFrames<FromExecutor>(this.#stream)) {
        this.#hear(message, bytes)
      }
      this.#lose(undefined)
    } catch (thrown) {
      this.#lose(thrown)
    }
  }

  #hear(message: FromExecutor, bytes: Uint8Array): void {
    switch (message.type) {
      case 'done':
        this.#take(message.id)?.resolve(message.result)
        return
      case 'failed':
        this.#take(message.id)?.reject(toError(message.error))
        return
      case 'log':
        this.#observer.onLog(message.instance, message.stream, message.atMs, bytes)
        return
      case 'breach':
        this.#observer.onBreach(message.instance, message.error, message.isFatal)
        return
      case 'replaced':
        this.#isReplaced = true
        return
      default:
        message satisfies never
    }
  }

  #take(id: number): PromiseWithResolvers<string> | undefined {
    const answer = this.#asked.get(id)
    this.#asked.delete(id)
    return answer
  }

  #lose(cause: unknown): void {
    if (this.#isLost) return
    this.#isLost = true
    for (const { reject } of this.#asked.values()) reject(lost(cause))
    this.#asked.clear()
    this.#observer.onLost(this.#isReplaced)
  }
}

function lost(cause?: unknown): QuiverError {
  const message = 'the executor that ran it has ended'
  return new QuiverError('unavailable', 'EXECUTOR_LOST', message, { cause })
}
