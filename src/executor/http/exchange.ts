/** One request and its answer, as a guest's runner sees them. Bytes of the connection are behind `AnswerSink`. */

import type { RequestBody } from './request-body.ts'
import type { RequestHead } from './request-head.ts'

/** Where an answer goes. */
export interface AnswerSink {
  /** @returns false: wait for `drained` */
  write(bytes: Uint8Array): boolean
  drained(): Promise<void>
  /** The answer is complete. `isBroken`: it is not, and the client must notice. */
  finish(exchange: Exchange, isBroken: boolean): void
}

/** Name, value, name, value … */
export type RawHeaders = readonly string[]

export class Exchange {
  readonly head: RequestHead
  readonly body: RequestBody
  readonly #sink: AnswerSink
  readonly #gone = new AbortController()
  #phase: 'open' | 'streaming' | 'over' = 'open'
  #isChunked = false
  #hasBody = true

  constructor(head: RequestHead, body: RequestBody, sink: AnswerSink) {
    this.head = head
    this.body = body
    this.#sink = sink
  }

  /** Aborted when the client went away before the answer was complete. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  get hasBegun(): boolean {
    return this.#phase !== 'open'
  }

  get isOver(): boolean {
    return this.#phase === 'over'
  }

  /** Answers with a whole body. */
  respond(status: number, headers: RawHeaders, body: Uint8Array): void {
    if (this.#phase !== 'open') return
    const isBare = isBodiless(status)
    const length = isBare ? '' : `Content-Length: ${body.length}\r\n`
    const head = `${formatHead(status, headers)}${length}\r\n`
    const sent = isBare || this.head.method === 'HEAD' ? EMPTY : body
    const bytes = Buffer.allocUnsafe(head.length + sent.length)
    bytes.write(head, 0, 'latin1')
    bytes.set(sent, head.length)
    this.#sink.write(bytes)
    this.#end(false)
  }

  /** Begins an answer whose body follows by `write` and `end`. */
  begin(status: number, headers: RawHeaders): void {
    if (this.#phase !== 'open') return
    this.#phase = 'streaming'
    this.#hasBody = !isBodiless(status) && this.head.method !== 'HEAD'
    const hasLength = headers.some(
      (name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length',
    )
    this.#isChunked = this.#hasBody && !hasLength
    const coding = this.#isChunked ? 'Transfer-Encoding: chunked\r\n' : ''
    this.#sink.write(Buffer.from(`${formatHead(status, headers)}${coding}\r\n`, 'latin1'))
  }

  /** @returns resolves when more may be written. The bytes are copied before it returns. */
  write(bytes: Uint8Array): void | Promise<void> {
    if (this.#phase !== 'streaming' || !this.#hasBody || bytes.length === 0) return undefined
    const isTaken = this.#sink.write(this.#isChunked ? toChunk(bytes) : Buffer.from(bytes))
    return isTaken ? undefined : this.#sink.drained()
  }

  /** @param trailers  left out where the body has a length: nothing can follow it */
  end(trailers: RawHeaders = []): void {
    if (this.#phase !== 'streaming') return
    if (this.#isChunked) this.#sink.write(trailers.length === 0 ? LAST_CHUNK : toEnd(trailers))
    this.#end(false)
  }

  /** The rest of the answer will not come. */
  break(): void {
    if (this.#phase !== 'over') this.#end(true)
  }

  /** The connection is gone. */
  abandon(): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    const error = new Error('the client went away')
    this.body.fail(error)
    this.#gone.abort(error)
  }

  #end(isBroken: boolean): void {
    this.#phase = 'over'
    this.#sink.finish(this, isBroken)
  }
}

const EMPTY = new Uint8Array(0)
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

function isBodiless(status: number): boolean {
  return status === 204 || status === 304
}

function formatHead(status: number, headers: RawHeaders): string {
  const line = status === 200 ? 'HTTP/1.1 200 OK\r\n' : `HTTP/1.1 ${status} \r\n`
  return line + formatFields(headers)
}

function formatFields(fields: RawHeaders): string {
  let text = ''
  for (let index = 0; index < fields.length; index += 2) {
    text += `${fields[index]}: ${fields[index + 1]}\r\n`
  }
  return text
}

function toEnd(trailers: RawHeaders): Buffer {
  return Buffer.from(`0\r\n${formatFields(trailers)}\r\n`, 'latin1')
}

function toChunk(bytes: Uint8Array): Buffer {
  const size = `${bytes.length.toString(16)}\r\n`
  const chunk = Buffer.allocUnsafe(size.length + bytes.length + 2)
  chunk.write(size, 0, 'latin1')
  chunk.set(bytes, size.length)
  chunk.write('\r\n', size.length + bytes.length, 'latin1')
  return chunk
}
