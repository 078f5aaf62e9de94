/**
 * One connection to an instance, carrying one request at a time. It writes what it is given and reports what comes
 * back; which request goes where is decided elsewhere (exchange.ts), and which connection is free by the pool.
 */

import type { Socket } from 'node:net'

import { QuiverError } from '../../core/error.ts'

import { ResponseParser, type ResponseHandler, type ResponseHead } from './response-parser.ts'

/** What the sender of a request hears, until `onEnd`, `onUpgrade` or `onFailure`: exactly one of them, once. */
export interface UpstreamHandler extends ResponseHandler {
  /** All that has come so far was reported; more follows later. */
  onPause(): void
  /** The instance took what was written: more may be. */
  onDrain(): void
  /** `hasBytes`: part of the response had come. */
  onFailure(error: Error, hasBytes: boolean): void
  /** 101: the socket belongs to the handler now, with no listener attached and paused. */
  onSocket(head: ResponseHead, socket: Socket, rest: Buffer): void
}

export interface ConnectionOwner {
  /** The connection may carry another request. */
  onIdle(connection: UpstreamConnection): void
  /** It is gone, or belongs to somebody else. Called once. */
  onGone(connection: UpstreamConnection): void
}

/** Every connection reads into this, one after the other: whoever keeps bytes copies them. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024)

/** Reading without a new buffer for each read, which would cost more than parsing what is in it. */
export class SharedReader {
  readonly buffer = SHARED
  onBytes: ((chunk: Buffer) => void) | null = null

  readonly callback = (bytes: number): boolean => {
    this.onBytes?.(SHARED.subarray(0, bytes))
    return true
  }
}

export class UpstreamConnection implements ResponseHandler {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #parser: ResponseParser
  #handler: UpstreamHandler | null = null
  /** Not null: the response has ended, with these trailers, and is about to be reported. */
  #trailers: readonly string[] | null = null
  #isRequestSent = false
  #isChunked = false
  #isGone = false
  #hasServed = false
  /** When it became idle, and for how long it may be used from then on. Milliseconds, `performance.now()`. */
  idleSinceMs = 0
  idleLimitMs = 0

  /** @param reader  that the socket was opened with; null: it emits `data` */
  constructor(
    socket: Socket,
    reader: SharedReader | null,
    owner: ConnectionOwner,
    idleLimitMs: number,
  ) {
    this.#socket = socket
    this.#owner = owner
    this.#parser = new ResponseParser(this)
    this.idleLimitMs = idleLimitMs
    if (reader === null) socket.on('data', this.#onBytes)
    else reader.onBytes = this.#onBytes
    socket.on('drain', this.#onDrain)
    socket.on('error', this.#onError)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    // A connection that ended before anyone listened will say nothing any more.
    if (socket.readableEnded || socket.destroyed) queueMicrotask(this.#onEnd)
  }

  /** Whether a request was answered on it before: it may then be closed at any moment by the other side. */
  get hasServed(): boolean {
    return this.#hasServed
  }

  /**
   * Sends the head of a request; the body, if any, follows by `write` and `end`.
   *
   * @param head  request line and headers, each line ended, without the empty line; latin1
   * @param body  `none`: the request is complete with its head
   */
  send(
    handler: UpstreamHandler,
    head: string,
    body: 'none' | 'length' | 'chunked',
    isHead: boolean,
    isUpgrade: boolean,
  ): void {
    this.#handler = handler
    this.#isRequestSent = body === 'none'
    this.#isChunked = body === 'chunked'
    this.#parser.begin(isHead ? HEAD : isUpgrade ? UPGRADE : PLAIN)
    this.#socket.write(`${head}\r\n`, 'latin1')
  }

  /** @returns false: wait for `onDrain` before writing more */
  write(chunk: Buffer): boolean {
    if (!this.#isChunked) return this.#socket.write(chunk)
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    const isTaken = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return isTaken
  }

  /** The body of the request is complete. */
  end(rawTrailers: readonly string[]): void {
    this.#isRequestSent = true
    if (!this.#isChunked) return
    let trailers = ''
    for (let index = 0; index < rawTrailers.length; index += 2) {
      trailers += `${rawTrailers[index]}: ${rawTrailers[index + 1]}\r\n`
    }
    this.#socket.write(`0\r\n${trailers}\r\n`, 'latin1')
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Ends it at once, whatever it carries; its handler hears no more. */
  destroy(): void {
    this.#handler = null
    this.#socket.destroy()
    this.#leave()
  }

  onInformation(head: ResponseHead): void {
    this.#handler?.onInformation(head)
  }

  onHead(head: ResponseHead): void {
    if (head.keepAliveS !== null) this.idleLimitMs = Math.max(0, head.keepAliveS * 1000 - 1000)
    this.#handler?.onHead(head)
  }

  onData(chunk: Buffer, isLast: boolean): void {
    this.#handler?.onData(chunk, isLast)
  }

  onUpgrade(head: ResponseHead, rest: Buffer): void {
    const handler = this.#handler
    this.#handler = null
    const socket = this.#socket
    socket.pause()
    socket.off('data', this.#onBytes)
    socket.off('drain', this.#onDrain)
    socket.off('error', this.#onError)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    this.#leave()
    if (handler === null) socket.destroy()
    handler?.onSocket(head, socket, rest)
  }

  onEnd(rawTrailers: readonly string[]): void {
    // Reported when all received bytes have been read: a byte too many makes the connection useless.
    this.#trailers = rawTrailers
  }

  #complete(isClean: boolean): void {
    const handler = this.#handler
    const trailers = this.#trailers ?? []
    this.#handler = null
    this.#trailers = null
    this.#hasServed = true
    // An answer before the whole request was sent leaves the rest in between: nothing may follow it.
    const isReusable = isClean && this.#parser.isPersistent && this.#isRequestSent
    if (isReusable && !this.#socket.destroyed) {
      this.#socket.resume()
      this.#owner.onIdle(this)
    } else {
      this.destroy()
    }
    handler?.onEnd(trailers)
  }

  readonly #onBytes = (chunk: Buffer): void => {
    try {
      this.#parser.execute(chunk)
    } catch (thrown) {
      if (this.#trailers === null) this.#fail(QuiverError.from(thrown))
      else this.#complete(false)
      return
    }
    if (this.#trailers === null) this.#handler?.onPause()
    else this.#complete(true)
  }

  readonly #onDrain = (): void => {
    this.#handler?.onDrain()
  }

  readonly #onError = (error: Error): void => {
    this.#fail(error)
  }

  readonly #onEnd = (): void => {
    if (this.#parser.finish()) {
      this.#complete(false)
      return
    }
    this.#fail(new QuiverError('unavailable', 'INSTANCE_CLOSED', 'the connection was closed'))
  }

  readonly #onClose = (): void => {
    this.#fail(new QuiverError('unavailable', 'INSTANCE_CLOSED', 'the connection was closed'))
  }

  #fail(error: Error): void {
    const handler = this.#handler
    const hasBytes = this.#parser.hasBytes
    this.destroy()
    handler?.onFailure(error, hasBytes)
  }

  #leave(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#owner.onGone(this)
  }
}

const PLAIN = { isHead: false, isUpgrade: false }
const HEAD = { isHead: true, isUpgrade: false }
const UPGRADE = { isHead: false, isUpgrade: true }
