/**
 * Streams into one instance: asks its ainit for connected sockets over `<prefix>.p` (docs/internals/ainit.md, "Stream
 * socket"). No pool and no retries: the proxy decides when a stream is opened, and reuses it.
 *
 *     StreamOpener.connect(path) ─▶ open(port, signal)* ─▶ [Symbol.asyncDispose]
 *
 * Nothing blocks, also while the instance is frozen: an open then simply waits for its signal.
 */

import { Socket, type OnReadOpts } from 'node:net'
import { getSystemErrorName } from 'node:util'

import { assert } from '../core/assert.ts'
import { QuiverError } from '../core/error.ts'

import { close, connectSeqpacket, lostMessageBytes, receive, send, watchReadable } from './fds.ts'
import type { Message, Watch } from './fds.ts'

/** `u32` id, `u16` port or status, `u16` 0. */
const MESSAGE_BYTES = 8
/** What one ainit connects at a time; more would only wait there. */
const UNANSWERED_MAX = 1024
/** Answers taken per turn of the event loop, so that a burst does not starve everything else. */
const ANSWERS_PER_TURN = 64

const OUT_OF_ROOM: ReadonlySet<string> = new Set([
  'EAGAIN',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
])

interface Opening {
  readonly port: number
  readonly onread: OnReadOpts | undefined
  readonly settle: (outcome: Socket | QuiverError) => void
}

export class StreamOpener implements AsyncDisposable {
  readonly path: string
  /** Resolves when the instance is gone or this was disposed. Never rejects. */
  readonly ended: Promise<void>
  readonly #fd: number
  readonly #watch: Watch
  readonly #end = Promise.withResolvers<void>()
  /** Sent and not answered. `undefined`: its caller has given up, and what still arrives is closed. */
  readonly #unanswered = new Map<number, Opening | undefined>()
  /** Not sent yet, in order, because the socket is full. */
  readonly #unsent = new Map<number, Opening>()
  #idLast = 0
  /** Opens whose caller waits: the process stays for them. */
  #callers = 0
  #isOpen = true

  private constructor(path: string, fd: number) {
    this.path = path
    this.ended = this.#end.promise
    this.#fd = fd
    this.#watch = watchReadable(fd, () => this.#receiveAnswers())
    this.#watch.unref()
  }

  /**
   * Connects to the stream socket of a running instance, at once.
   *
   * @throws QuiverError `unavailable/INSTANCE_GONE` when nobody listens there; `unavailable/INSTANCE_BUSY` when its
   *   backlog is full (it is frozen, or very busy)
   */
  static connect(path: string): StreamOpener {
    const fd = connectTo(path)
    try {
      return new StreamOpener(path, fd)
    } catch (thrown) {
      close(fd)
      throw thrown
    }
  }

  /** False once the instance is gone or this was disposed: connect again, if the instance is to be had at all. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * A connection to `port` on the loopback of the instance: the caller's to destroy.
   *
   * @param onread  takes what is read from it, instead of `data` events, into a buffer of the caller (`node:net`)
   * @throws QuiverError `unavailable/CONNECTION_REFUSED` when nothing listens on the port; `unavailable/INSTANCE_GONE`;
   *   `unavailable/STREAM_FAILED` for any other failure inside; `resource_exhausted/STREAM_LIMIT` when too many are being
   *   opened, or descriptors ran out; whatever `signal` aborts with
   */
  async open(port: number, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket> {
    assert(Number.isInteger(port) && port >= 1 && port <= 65_535, `not a port: ${port}`)
    signal.throwIfAborted()
    if (!this.#isOpen) throw gone(this.path)
    if (this.#unanswered.size + this.#unsent.size >= UNANSWERED_MAX) {
      throw limit(`${UNANSWERED_MAX} connections are being opened at ${this.path}`)
    }
    const id = this.#nextId()
    const opened = Promise.withResolvers<Socket>()
    const abort = (): void => {
      this.#abandon(id)
      opened.reject(signal.reason)
    }
    const settle = (outcome: Socket | QuiverError): void => {
      if (outcome instanceof QuiverError) opened.reject(outcome)
      else opened.resolve(outcome)
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#unsent.set(id, { port, onread, settle })
    // While others wait for room this one waits behind them.
    if (this.#unsent.size === 1) this.#sendRequests()
    if (this.#callers++ === 0) this.#watch.ref()
    try {
      return await opened.promise
    } finally {
      signal.removeEventListener('abort', abort)
      if (--this.#callers === 0) this.#watch.unref()
    }
  }

  /** Rejects what is still being opened. Streams that were opened live on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish(new QuiverError('canceled', 'STREAMS_CLOSED', `${this.path} was closed here`))
  }

  #nextId(): number {
    do this.#idLast = (this.#idLast + 1) >>> 0
    while (this.#unanswered.has(this.#idLast) || this.#unsent.has(this.#idLast))
    return this.#idLast
  }

  #abandon(id: number): void {
    if (!this.#unsent.delete(id)) this.#unanswered.set(id, undefined)
  }

  #sendRequests(): void {
    for (const [id, opening] of this.#unsent) {
      const request = Buffer.alloc(MESSAGE_BYTES)
      request.writeUInt32LE(id, 0)
      request.writeUInt16LE(opening.port, 4)
      if (!this.#trySend(request)) return
      this.#unsent.delete(id)
      this.#unanswered.set(id, opening)
    }
  }

  #trySend(request: Buffer): boolean {
    try {
      if (send(this.#fd, request)) return true
      this.#watch.onceWritable(() => this.#sendRequests())
    } catch (thrown) {
      this.#finish(gone(this.path, thrown))
    }
    return false
  }

  #receiveAnswers(): void {
    for (let turn = 0; turn < ANSWERS_PER_TURN && this.#isOpen; turn++) {
      const message = this.#tryReceive()
      if (message === undefined) return
      this.#take(message)
    }
  }

  #tryReceive(): Message | undefined {
    try {
      const message = receive(this.#fd, MESSAGE_BYTES)
      if (message !== 'end') return message
      this.#finish(gone(this.path))
    } catch (thrown) {
      const bytes = lostMessageBytes(thrown)
      if (bytes !== undefined) return { bytes, fds: [] }
      this.#finish(gone(this.path, thrown))
    }
    return undefined
  }

  /** An instance is not trusted: what nobody waits for is closed, and an answer of another shape ends it all. */
  #take({ bytes, fds }: Message): void {
    const [fd, ...surplus] = fds
    for (const unwanted of surplus) close(unwanted)
    const isAnswer = bytes.length === MESSAGE_BYTES
    const id = isAnswer ? bytes.readUInt32LE(0) : -1
    const opening = this.#unanswered.get(id)
    this.#unanswered.delete(id)
    if (opening === undefined && fd !== undefined) close(fd)
    opening?.settle(outcomeOf(opening, bytes.readUInt16LE(4), fd))
    if (!isAnswer) this.#finish(gone(this.path, new Error('its answer has another shape')))
  }

  #finish(error: QuiverError): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#watch[Symbol.dispose]()
    // What was sent to us and not received yet is closed by the kernel with the socket.
    close(this.#fd)
    const openings = [...this.#unanswered.values(), ...this.#unsent.values()]
    this.#unanswered.clear()
    this.#unsent.clear()
    for (const opening of openings) opening?.settle(error)
    this.#end.resolve()
  }
}

function connectTo(path: string): number {
  try {
    return connectSeqpacket(path)
  } catch (thrown) {
    const code = codeOf(thrown)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') throw gone(path, thrown)
    if (code !== 'EAGAIN') throw thrown
    throw new QuiverError('unavailable', 'INSTANCE_BUSY', `${path} takes no more connections`, {
      hint: 'Try again; a frozen instance takes them once it is resumed.',
      cause: thrown,
    })
  }
}

/** What the caller of an open gets for an answer. The descriptor is used or closed. */
function outcomeOf(
  { port, onread }: Opening,
  status: number,
  fd: number | undefined,
): Socket | QuiverError {
  if (status === 0 && fd !== undefined) return adopt(port, fd, onread)
  if (fd !== undefined) close(fd)
  if (status === 0) return limit(`the connection to port ${port} could not be received`)
  const name = getSystemErrorName(-status)
  const message = `port ${port} inside the instance: ${name}`
  if (name === 'ECONNREFUSED') return new QuiverError('unavailable', 'CONNECTION_REFUSED', message)
  if (OUT_OF_ROOM.has(name)) return limit(message)
  return new QuiverError('unavailable', 'STREAM_FAILED', message)
}

function adopt(port: number, fd: number, onread: OnReadOpts | undefined): Socket | QuiverError {
  try {
    const reading = onread === undefined ? {} : { onread }
    const socket = new Socket({ fd, readable: true, writable: true, ...reading })
    return socket.setNoDelay(true)
  } catch (thrown) {
    close(fd)
    const message = `port ${port} inside the instance: what came is not a connection`
    return new QuiverError('unavailable', 'STREAM_FAILED', message, { cause: thrown })
  }
}

function gone(path: string, cause?: unknown): QuiverError {
  const options = cause === undefined ? {} : { cause }
  return new QuiverError('unavailable', 'INSTANCE_GONE', `nothing answers at ${path}`, options)
}

function limit(message: string): QuiverError {
  return new QuiverError('resource_exhausted', 'STREAM_LIMIT', message, {
    hint: 'Lower scale.concurrency, or raise limits.files.',
  })
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}
