/**
 * Takes connections from ainit: accepts on the relay's socket and receives one message with one descriptor from each.
 *
 * Whoever connects is not trusted: a peer that says nothing, too much, or nothing useful costs one descriptor for a few
 * seconds and is then closed. What a message means is not decided here.
 */

import { acceptSeqpacket, close, receive, watchReadable, type Watch } from '../fds/fds.ts'

import { REQUEST_BYTES_MAX } from './request.ts'

export interface IntakeOptions {
  /** Listening SOCK_SEQPACKET descriptor; stays the caller's. */
  readonly listener: number
  /** One message; the descriptor now belongs to the callee. */
  readonly onMessage: (bytes: Buffer, fd: number) => void
  /** Something was refused or failed; for the log. */
  readonly onProblem: (message: string) => void
}

/** Accepted in one turn of the event loop, so that open streams get theirs. */
const ACCEPTS_PER_TURN_MAX = 64
/** Connections that have not sent their message yet. ainit sends it at once. */
const SILENT_MAX = 256
const SILENT_DEADLINE_MS = 5000
/** Pause after an accept failed for lack of descriptors or memory. */
const EXHAUSTED_PAUSE_MS = 100

export class Intake implements Disposable {
  readonly #options: IntakeOptions
  readonly #silent = new Set<Disposable>()
  #watch: Watch | undefined
  #timer: NodeJS.Timeout | undefined
  #isDisposed = false

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /** Begins to accept; again is fine, after disposal it does nothing. Until then connections wait in the backlog. */
  start(): void {
    if (this.#isDisposed) return
    this.#watch ??= watchReadable(this.#options.listener, () => this.#acceptSome())
  }

  /** Accepts no more, and forgets those that have sent nothing. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#pause()
    clearTimeout(this.#timer)
    for (const silent of this.#silent) silent[Symbol.dispose]()
  }

  #pause(): void {
    this.#watch?.[Symbol.dispose]()
    this.#watch = undefined
  }

  #acceptSome(): void {
    try {
      for (let count = 0; count < ACCEPTS_PER_TURN_MAX; count++) {
        const fd = acceptSeqpacket(this.#options.listener)
        if (fd === undefined) return
        this.#take(fd)
      }
    } catch (thrown) {
      // The connection stays in the backlog and would call back at once, for ever.
      this.#options.onProblem(`accept: ${messageOf(thrown)}`)
      this.#pause()
      this.#timer = setTimeout(() => this.start(), EXHAUSTED_PAUSE_MS)
    }
  }

  #take(fd: number): void {
    if (this.#read(fd)) {
      close(fd)
      return
    }
    const [oldest] = this.#silent
    if (oldest !== undefined && this.#silent.size >= SILENT_MAX) {
      this.#options.onProblem(`${SILENT_MAX} connections have sent nothing; the oldest is closed`)
      oldest[Symbol.dispose]()
    }
    this.#wait(fd)
  }

  #wait(fd: number): void {
    const watch = watchReadable(fd, () => {
      if (this.#read(fd)) silent[Symbol.dispose]()
    })
    const silent: Disposable = {
      [Symbol.dispose]: () => {
        clearTimeout(timer)
        this.#silent.delete(silent)
        watch[Symbol.dispose]()
        close(fd)
      },
    }
    const timer = setTimeout(() => {
      this.#options.onProblem('a connection sent nothing in time')
      silent[Symbol.dispose]()
    }, SILENT_DEADLINE_MS)
    this.#silent.add(silent)
  }

  /** @returns whether the connection has done its duty, one way or another */
  #read(fd: number): boolean {
    try {
      const message = receive(fd, REQUEST_BYTES_MAX)
      if (message === undefined) return false
      if (message === 'end') return true
      this.#deliver(message.bytes, message.fds)
    } catch (thrown) {
      this.#options.onProblem(`receive: ${messageOf(thrown)}`)
    }
    return true
  }

  #deliver(bytes: Buffer, fds: readonly number[]): void {
    const [fd, ...others] = fds
    if (fd !== undefined && others.length === 0) {
      this.#options.onMessage(bytes, fd)
      return
    }
    for (const each of fds) close(each)
    this.#options.onProblem(`a message came with ${fds.length} descriptors`)
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
