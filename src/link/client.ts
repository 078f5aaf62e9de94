/**
 * The data plane's end of the link: connects to control, says hello, and connects again for as long as it lives.
 *
 * It keeps no state of its own. What was last heard stays with the caller, who goes on with it while control is away;
 * what could not be sent is dropped, because after each reconnection `onUp` lets the caller say again what still holds.
 */

import { connect } from 'node:net'

import type { QuiverError } from '../core/error.ts'

import { LinkConnection, type MessageParser, type RawMessage } from './connection.ts'

export interface LinkClientOptions<In, Out> {
  /** Path of control's socket. */
  readonly path: string
  /** The first message of every connection. */
  readonly hello: Out
  readonly parse: MessageParser<In>
  readonly onMessage: (message: In) => void
  /**
   * Control answers: called after each (re)connection, when its first message has been delivered. Before that the
   * connection may be one that nobody has accepted yet, since the supervisor holds the socket while control is away.
   */
  readonly onUp?: () => void
  /** Called once for each `onUp`, when that connection is lost. */
  readonly onDown?: () => void
  /** Something went wrong; for the log. Called for each failed attempt with another message than the last one. */
  readonly onProblem?: (problem: QuiverError) => void
}

export interface LinkClient<Out> extends AsyncDisposable {
  /** Whether control has answered on the present connection. */
  readonly isUp: boolean
  /** Sends now or not at all: false (and nothing is kept) while control is away. */
  send(message: Out): boolean
}

/** All tasks of a node come in one line: 10,000 of them take a few MiB. */
const LINE_BYTES_MAX = 64 * 1024 ** 2

const RETRY_FIRST_MS = 20
const RETRY_LAST_MS = 2000

/** Begins to connect at once, and returns without waiting for it. Dispose of it to stop. */
export function openLinkClient<In, Out extends object>(
  options: LinkClientOptions<In, Out>,
): LinkClient<Out> {
  return new Client(options)
}

class Client<In, Out extends object> implements LinkClient<Out> {
  readonly #options: LinkClientOptions<In, Out>
  #connection: LinkConnection | undefined
  #timer: NodeJS.Timeout | undefined
  #isUp = false
  #isDisposed = false
  #retryMs = RETRY_FIRST_MS
  #lastProblem = ''
  readonly #closed = Promise.withResolvers<void>()

  constructor(options: LinkClientOptions<In, Out>) {
    this.#options = options
    this.#connect()
  }

  get isUp(): boolean {
    return this.#isUp
  }

  send(message: Out): boolean {
    if (!this.#isUp) return false
    this.#connection?.send(message)
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    clearTimeout(this.#timer)
    if (this.#connection === undefined) return
    this.#connection.close()
    await this.#closed.promise
  }

  #connect(): void {
    const connection = new LinkConnection(connect(this.#options.path), {
      lineBytesMax: LINE_BYTES_MAX,
      onMessage: (raw) => this.#receive(raw),
      onClose: (problem) => this.#lose(problem),
    })
    this.#connection = connection
    connection.send(this.#options.hello)
  }

  #receive(raw: RawMessage): void {
    const message = this.#options.parse(raw)
    const wasUp = this.#isUp
    this.#isUp = true
    if (message !== undefined) this.#options.onMessage(message)
    if (wasUp) return
    this.#retryMs = RETRY_FIRST_MS
    this.#lastProblem = ''
    this.#options.onUp?.()
  }

  #lose(problem: QuiverError | undefined): void {
    this.#connection = undefined
    const wasUp = this.#isUp
    this.#isUp = false
    if (problem !== undefined && problem.message !== this.#lastProblem) {
      this.#lastProblem = problem.message
      this.#options.onProblem?.(problem)
    }
    if (wasUp) this.#options.onDown?.()
    if (this.#isDisposed) {
      this.#closed.resolve()
      return
    }
    this.#timer = setTimeout(() => this.#connect(), this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LAST_MS)
  }
}
