/**
 * A serving thread: one module, one port, and a fresh instance of the module for each request. What it shares with the
 * rest of the process is what the main thread gave it, and nothing of one request is reachable from another.
 */

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

import { Connection } from '../http/connection.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Failure, LogStream } from '../protocol.ts'
import { Budget } from '../run/budget.ts'
import { openRunner } from '../run/create.ts'
import { explain, respondFailure, toFailure } from '../run/failure.ts'
import { openFolders } from '../run/folders.ts'
import { Invoker, isCall } from '../run/invoke.ts'
import type { Guest, Runner, ServedModule } from '../run/runner.ts'

import { Beat } from './beat.ts'
import { LogFlow } from './log-flow.ts'
import { Pace } from './pace.ts'
import { PendingAnswers } from './pending-answers.ts'
import { rehearse } from './rehearsal.ts'
import { Strikes } from './strikes.ts'

export interface ThreadData {
  readonly beat: SharedArrayBuffer
  readonly pending: SharedArrayBuffer
}

export type ToThread =
  | {
      readonly type: 'serve'
      readonly served: ServedModule
      /** 0: any free one. */
      readonly port: number
      /** Threads in a row that were lost to a limit. */
      readonly strikes: number
    }
  /** Accepts no more; answered with `idle` when the last request has its answer. */
  | { readonly type: 'drain' }

export type FromThread =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'failed'; readonly error: Failure }
  | { readonly type: 'idle' }
  /** A guest was ended for a limit. Told once for each reason. */
  | { readonly type: 'breach'; readonly error: Failure }
  | {
      readonly type: 'log'
      readonly stream: LogStream
      readonly atMs: number
      readonly bytes: Uint8Array
    }

const HOST = '127.0.0.1'
const BACKLOG = 1024
/** The first thread of a process has a module at once. */
const REHEARSE_AFTER_MS = 20

class ServingThread {
  readonly #beat: Beat
  readonly #pending: PendingAnswers
  readonly #log = new LogFlow((stream, bytes) =>
    tell({ type: 'log', stream, atMs: Date.now(), bytes }),
  )
  readonly #connections = new Set<Connection>()
  readonly #breachesTold = new Set<string>()
  #pace: Pace | null = null
  #strikes = new Strikes(0)
  #server: Server | undefined
  #guest: Guest | undefined
  #runner: Runner | undefined
  #invoker: Runner | undefined

  constructor({ beat, pending }: ThreadData) {
    this.#beat = new Beat(beat)
    this.#pending = new PendingAnswers(pending)
  }

  async serve(message: Extract<ToThread, { type: 'serve' }>): Promise<void> {
    const { served, port, strikes } = message
    const { limits } = served.plan
    this.#strikes = new Strikes(strikes)
    this.#beat.strikes = strikes
    this.#tellWait()
    const budget = new Budget(limits, served.memories)
    this.#guest = {
      ...served,
      budget,
      folders: served.kind.kind === 'engine' ? [] : openFolders(served.files),
      log: (stream, bytes) => this.#log.write(stream, bytes),
    }
    this.#pace = limits.cpuMillis === null ? null : new Pace(limits.cpuMillis)
    this.#beat.begin(() => {
      budget.review()
      this.#beat.heldBytes = budget.heldBytes
      this.#log.settle()
    })
    this.#runner = await openRunner(this.#guest)
    const server = createServer({ noDelay: true }, (socket) => {
      const connection = new Connection(socket, this.#onExchange, this.#pending)
      this.#connections.add(connection)
      socket.once('close', () => this.#connections.delete(connection))
    })
    this.#server = server
    // A thread that takes the place of a stuck one listens before that is ended.
    server.listen({ host: HOST, port, backlog: BACKLOG, reusePort: true })
    await once(server, 'listening')
    const address = server.address()
    tell({ type: 'listening', port: typeof address === 'object' ? (address?.port ?? 0) : 0 })
  }

  drain(): void {
    this.#server?.close(() => tell({ type: 'idle' }))
    for (const connection of this.#connections) connection.close()
  }

  readonly #onExchange = (exchange: Exchange): void => {
    const delayMs = Math.max(this.#pace?.delayMs ?? 0, this.#strikes.delayMs)
    if (delayMs <= 0) this.#answer(exchange)
    // Those before it may have used up what there is by then.
    else setTimeout(() => this.#onExchange(exchange), delayMs)
  }

  #answer(exchange: Exchange): void {
    // It waited, and whoever asked did not.
    if (exchange.gone.aborted) return
    this.#beat.enter()
    let answered: void | Promise<void>
    try {
      answered = this.#choose(exchange)?.answer(exchange)
    } catch (thrown) {
      this.#fail(exchange, thrown)
      return
    }
    if (answered === undefined) {
      this.#succeed()
      return
    }
    answered.then(this.#succeed, (thrown: unknown) => this.#fail(exchange, thrown))
  }

  readonly #succeed = (): void => {
    this.#beat.leave()
    if (this.#strikes.count === 0) return
    this.#strikes.forget()
    this.#beat.strikes = 0
  }

  #tellWait(): void {
    const { count, delayMs } = this.#strikes
    if (delayMs <= 0) return
    const seconds = Math.ceil(delayMs / 1000)
    const text = `${count} requests in a row met a limit: the next one waits ${seconds} s\n`
    this.#log.write('quiver', Buffer.from(text))
  }

  #choose(exchange: Exchange): Runner | undefined {
    if (this.#guest === undefined || !isCall(exchange)) return this.#runner
    this.#invoker ??= new Invoker(this.#guest)
    return this.#invoker
  }

  #fail(exchange: Exchange, thrown: unknown): void {
    this.#beat.leave()
    // Whoever went away wants no answer, and the guest was ended because of that.
    if (exchange.gone.aborted) return
    const error = explain(thrown)
    const requestId = exchange.head.header('x-request-id') ?? 'a request'
    this.#log.write('quiver', Buffer.from(`${requestId}: ${error.message} (${error.reason})\n`))
    respondFailure(exchange, error)
    if (error.code !== 'resource_exhausted' || this.#breachesTold.has(error.reason)) return
    this.#breachesTold.add(error.reason)
    tell({ type: 'breach', error: toFailure(error) })
  }
}

function tell(message: FromThread): void {
  parentPort?.postMessage(message, [])
}

const data: ThreadData = workerData
const thread = new ServingThread(data)
const rehearsal = setTimeout(() => void rehearse(), REHEARSE_AFTER_MS)
parentPort?.on('message', (message: ToThread) => {
  clearTimeout(rehearsal)
  if (message.type === 'drain') {
    thread.drain()
    return
  }
  thread.serve(message).catch((thrown: unknown) => {
    tell({ type: 'failed', error: toFailure(explain(thrown)) })
  })
})
