/**
 * One connection from the proxy: requests one after the other, each handed on as an `Exchange`. Small on purpose: the
 * peer is the proxy, which has checked everything that a public server must check, and which never pipelines.
 */

import type { Socket } from 'node:net'

import { Exchange, type AnswerSink } from './exchange.ts'
import { RequestBody } from './request-body.ts'
import { RequestHead } from './request-head.ts'

export type OnExchange = (exchange: Exchange) => void

/** Who else may answer in the place of this thread. */
export interface AnswerGuard {
  /** A request came. @returns its place; undefined when only this thread can answer */
  open(descriptor: number, isHead: boolean): number | undefined
  /** Its answer begins, or is not wanted any more. @returns false: another one has answered */
  take(place: number): boolean
}

const NOBODY_ELSE: AnswerGuard = { open: () => undefined, take: () => true }
const HEAD_END = Buffer.from('\r\n\r\n')
const HEAD_BYTES_MAX = 64 * 1024
const EMPTY = Buffer.alloc(0)

export class Connection implements AnswerSink {
  readonly #socket: Socket
  readonly #onExchange: OnExchange
  readonly #guard: AnswerGuard
  /** Of a request that has no answer yet. */
  #place: number | undefined
  /** What came and belongs to no request yet. */
  #rest: Buffer = EMPTY
  #exchange: Exchange | null = null
  #isLast = false

  constructor(socket: Socket, onExchange: OnExchange, guard = NOBODY_ELSE) {
    this.#socket = socket
    this.#guard = guard
    this.#onExchange = onExchange
    socket.setNoDelay(true)
    socket.on('data', this.#onData)
    socket.on('error', () => socket.destroy())
    // Whoever closes its side wants nothing more of us: the proxy never half-closes while it waits.
    socket.on('end', () => socket.destroy())
    socket.on('close', this.#onClose)
  }

  /** Whether a request is being answered. */
  get isBusy(): boolean {
    return this.#exchange !== null
  }

  /** Ends now, or when the present answer is complete. */
  close(): void {
    this.#isLast = true
    if (this.#exchange === null) this.#socket.end()
  }

  write(bytes: Uint8Array): boolean {
    if (this.#place !== undefined && !this.#take()) this.#socket.destroy()
    return this.#socket.destroyed || this.#socket.write(bytes)
  }

  async drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#socket.once('drain', resolve)
    this.#socket.once('close', resolve)
    await promise
    this.#socket.off('drain', resolve)
    this.#socket.off('close', resolve)
  }

  finish(exchange: Exchange, isBroken: boolean): void {
    if (this.#exchange !== exchange) return
    this.#exchange = null
    this.#take()
    if (isBroken) {
      this.#socket.destroy()
      return
    }
    // What follows an unread body cannot be told from it.
    if (this.#isLast || !exchange.head.isPersistent || !exchange.body.isComplete) {
      this.#socket.off('data', this.#onData)
      this.#socket.end()
      // Only who reads notices that the other side closes.
      this.#socket.resume()
      return
    }
    this.#socket.resume()
    if (this.#rest.length > 0) setImmediate(this.#readHead)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    if (this.#exchange === null) this.#readHead()
    else this.#feed(this.#exchange.body)
  }

  readonly #readHead = (): void => {
    if (this.#exchange !== null || this.#socket.destroyed) return
    const end = this.#rest.indexOf(HEAD_END)
    if (end === -1) {
      if (this.#rest.length > HEAD_BYTES_MAX) this.#socket.destroy()
      return
    }
    try {
      const head = new RequestHead(this.#rest.toString('latin1', 0, end))
      this.#rest = this.#rest.subarray(end + HEAD_END.length)
      const body = new RequestBody(this.#socket, head.isChunked ? null : (head.contentLength ?? 0))
      const exchange = new Exchange(head, body, this)
      this.#exchange = exchange
      this.#place = this.#guard.open(descriptorOf(this.#socket), head.method === 'HEAD')
      this.#feed(body)
      this.#onExchange(exchange)
    } catch {
      this.#socket.destroy()
    }
  }

  #feed(body: RequestBody): void {
    if (this.#rest.length === 0) return
    try {
      this.#rest = this.#rest.subarray(body.feed(this.#rest))
    } catch {
      this.#socket.destroy()
    }
  }

  /** @returns false: somebody else has answered */
  #take(): boolean {
    const place = this.#place
    this.#place = undefined
    return place === undefined || this.#guard.take(place)
  }

  readonly #onClose = (): void => {
    this.#take()
    this.#exchange?.abandon()
    this.#exchange = null
  }
}

/** Node.js says it nowhere officially; -1 where it does not say it at all. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  const descriptor: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  return typeof descriptor === 'number' ? descriptor : -1
}
