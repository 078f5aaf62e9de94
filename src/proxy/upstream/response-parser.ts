/**
 * Reads HTTP/1 responses of an instance from bytes. Strict: what it does not understand exactly is an error, so that
 * proxy and client can never disagree about where a response ends. It owns no socket.
 *
 * It exists because a proxy needs what client libraries hide: interim responses, raw headers, trailers, upgrades, a
 * `304` with a Content-Length, and certainty whether a byte was received. Framing follows RFC 9112, sections 4 to 7.
 */

import { QuiverError } from '../../core/error.ts'

export interface ResponseHead {
  readonly status: number
  /** As sent; may be empty. */
  readonly reason: string
  /** Name, value, name, value …, in order, spelled as sent; values trimmed; latin1. */
  readonly rawHeaders: readonly string[]
  /** Null: not said (chunked, ended by the close of the connection, or no body at all). */
  readonly contentLength: number | null
  /** Lower-case tokens of all `Connection` headers; null without one. */
  readonly connection: readonly string[] | null
  /** Seconds from `Keep-Alive: timeout=N`; null when not said. */
  readonly keepAliveS: number | null
  readonly isEventStream: boolean
}

export interface ResponseHandler {
  /** 102–199, any number of times before the head. 100 is swallowed: the proxy has answered it. */
  onInformation(head: ResponseHead): void
  onHead(head: ResponseHead): void
  /** The bytes are lent until it returns. `isLast`: the body ends with this chunk and has no trailers; `onEnd` follows at once. */
  onData(chunk: Buffer, isLast: boolean): void
  onEnd(rawTrailers: readonly string[]): void
  /** 101: what follows, beginning with `rest`, is no longer HTTP. */
  onUpgrade(head: ResponseHead, rest: Buffer): void
}

export interface RequestTraits {
  readonly isHead: boolean
  readonly isUpgrade: boolean
}

const HEAD_BYTES_MAX = 64 * 1024
const HEADERS_MAX = 500
const CHUNK_LINE_BYTES_MAX = 4096

const NONE: readonly string[] = []
const EMPTY = Buffer.alloc(0)
const HEAD_END = Buffer.from('\r\n\r\n')
const LINE_END = Buffer.from('\r\n')
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
/** Control characters other than tab, except CR directly before LF. */
// oxlint-disable-next-line eslint/no-control-regex
const FORBIDDEN = /\r(?!\n)|(?<!\r)\n|[\0-\u0008\u000b\u000c\u000e-\u001f\u007f]/

type State = 'idle' | 'head' | 'length' | 'size' | 'chunk' | 'chunkEnd' | 'trailers' | 'close'

export class ResponseParser {
  readonly #handler: ResponseHandler
  #state: State = 'idle'
  #request: RequestTraits = { isHead: false, isUpgrade: false }
  /** The beginning of a head or line whose end has not come yet. */
  #partial: Buffer = EMPTY
  #remaining = 0
  #isPersistent = false
  #hasBytes = false

  constructor(handler: ResponseHandler) {
    this.#handler = handler
  }

  /** Between responses: bytes are now a protocol error. */
  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  /** Whether any byte of the present response has come. */
  get hasBytes(): boolean {
    return this.#hasBytes
  }

  /** Whether the connection may carry another request after this response. */
  get isPersistent(): boolean {
    return this.#isPersistent
  }

  /** A request goes out; its response is awaited. */
  begin(request: RequestTraits): void {
    this.#state = 'head'
    this.#request = request
    this.#hasBytes = false
  }

  /** @throws QuiverError `unavailable/RESPONSE_INVALID`; the connection is of no further use */
  execute(received: Buffer): void {
    this.#hasBytes = true
    let chunk = received
    if (this.#partial.length > 0) {
      chunk = Buffer.concat([this.#partial, received])
      this.#partial = EMPTY
    }
    let offset = 0
    while (offset < chunk.length) {
      const next = this.#step(chunk, offset)
      if (next === -1) {
        // A copy: the bytes belong to whoever reads the socket.
        this.#partial = Buffer.from(chunk.subarray(offset))
        return
      }
      offset = next
    }
  }

  /**
   * The instance closed its side.
   *
   * @returns whether that was the proper end of a response; false when it was cut short
   */
  finish(): boolean {
    if (this.#state !== 'close') return false
    this.#end(NONE)
    return true
  }

  /** @returns the offset reached, or -1 when more bytes are needed to go on */
  #step(chunk: Buffer, offset: number): number {
    switch (this.#state) {
      case 'idle':
        throw invalid('it sent bytes that nobody asked for')
      case 'head':
        return this.#readHead(chunk, offset)
      case 'length':
      case 'chunk':
        return this.#readBody(chunk, offset)
      case 'close':
        this.#handler.onData(offset === 0 ? chunk : chunk.subarray(offset), false)
        return chunk.length
      case 'size':
        return this.#readSize(chunk, offset)
      case 'chunkEnd':
        return this.#readChunkEnd(chunk, offset)
      case 'trailers':
        return this.#readTrailers(chunk, offset)
      default:
        return this.#state satisfies never
    }
  }

  #readHead(chunk: Buffer, offset: number): number {
    const end = chunk.indexOf(HEAD_END, offset)
    if (end === -1) {
      if (chunk.length - offset > HEAD_BYTES_MAX) throw invalid('its headers are too large')
      if (chunk.includes('\n\n', offset)) throw invalid('it ends lines without a carriage return')
      return -1
    }
    if (end - offset > HEAD_BYTES_MAX) throw invalid('its headers are too large')
    const head = new HeadReader(chunk.toString('latin1', offset, end))
    const next = end + HEAD_END.length
    if (head.status === 101) return this.#upgrade(head, chunk, next)
    if (head.status < 200) {
      if (head.status !== 100) this.#handler.onInformation(head)
      return next
    }
    this.#isPersistent = head.isPersistent
    this.#frame(head)
    return next
  }

  #upgrade(head: HeadReader, chunk: Buffer, next: number): number {
    if (!this.#request.isUpgrade) throw invalid('it switched protocols without being asked')
    this.#state = 'idle'
    this.#isPersistent = false
    this.#handler.onUpgrade(head, chunk.subarray(next))
    return chunk.length
  }

  /** Decides how the body ends: RFC 9112, section 6.3. */
  #frame(head: HeadReader): void {
    const { status, contentLength } = head
    const hasNoBody = this.#request.isHead || status === 204 || status === 304
    if (head.isChunked && contentLength !== null) {
      throw invalid('it sent both Content-Length and Transfer-Encoding')
    }
    if (hasNoBody || contentLength === 0) {
      this.#state = 'idle'
      this.#handler.onHead(head)
      this.#handler.onEnd(NONE)
      return
    }
    this.#state = head.isChunked ? 'size' : 'close'
    if (contentLength !== null) {
      this.#state = 'length'
      this.#remaining = contentLength
    }
    if (this.#state === 'close') this.#isPersistent = false
    this.#handler.onHead(head)
  }

  #readBody(chunk: Buffer, offset: number): number {
    const end = Math.min(chunk.length, offset + this.#remaining)
    this.#remaining -= end - offset
    const isWhole = offset === 0 && end === chunk.length
    const data = isWhole ? chunk : chunk.subarray(offset, end)
    if (this.#state === 'chunk') {
      if (this.#remaining === 0) this.#state = 'chunkEnd'
      this.#handler.onData(data, false)
      return end
    }
    if (this.#remaining > 0) {
      this.#handler.onData(data, false)
      return end
    }
    // The end before the data: a handler that finishes on `isLast` must find the parser idle.
    this.#state = 'idle'
    this.#handler.onData(data, true)
    this.#handler.onEnd(NONE)
    return end
  }

  #readSize(chunk: Buffer, offset: number): number {
    const end = chunk.indexOf(LINE_END, offset)
    if (end === -1 || end - offset > CHUNK_LINE_BYTES_MAX) {
      if (chunk.length - offset > CHUNK_LINE_BYTES_MAX) throw invalid('a chunk size is too long')
      return -1
    }
    const line = chunk.toString('latin1', offset, end)
    const [, digits] = /^([\dA-Fa-f]{1,13})(?:[ \t]*;[^\r\n]*)?$/.exec(line) ?? []
    if (digits === undefined) throw invalid('a chunk has an invalid size')
    this.#remaining = Number.parseInt(digits, 16)
    this.#state = this.#remaining === 0 ? 'trailers' : 'chunk'
    return end + LINE_END.length
  }

  #readChunkEnd(chunk: Buffer, offset: number): number {
    if (chunk.length - offset < LINE_END.length) return -1
    if (chunk[offset] !== 13 || chunk[offset + 1] !== 10) {
      throw invalid('a chunk is longer than its size')
    }
    this.#state = 'size'
    return offset + LINE_END.length
  }

  #readTrailers(chunk: Buffer, offset: number): number {
    if (chunk[offset] === 13 && chunk[offset + 1] === 10) {
      this.#end(NONE)
      return offset + LINE_END.length
    }
    const end = chunk.indexOf(HEAD_END, offset)
    if (end === -1 || end - offset > HEAD_BYTES_MAX) {
      if (chunk.length - offset > HEAD_BYTES_MAX) throw invalid('its trailers are too large')
      return -1
    }
    const rawTrailers: string[] = []
    readFields(chunk.toString('latin1', offset, end), 0, rawTrailers)
    this.#end(rawTrailers)
    return end + HEAD_END.length
  }

  #end(rawTrailers: readonly string[]): void {
    this.#state = 'idle'
    this.#handler.onEnd(rawTrailers)
  }
}

/** One head, read in a single pass. */
class HeadReader implements ResponseHead {
  readonly status: number
  readonly reason: string
  readonly rawHeaders: string[] = []
  contentLength: number | null = null
  connection: string[] | null = null
  keepAliveS: number | null = null
  isEventStream = false
  isChunked = false
  readonly #isHttp11: boolean

  constructor(text: string) {
    if (FORBIDDEN.test(text)) throw invalid('its headers have control characters')
    const lineEnd = text.indexOf('\r\n')
    const line = lineEnd === -1 ? text : text.slice(0, lineEnd)
    const [, minor, status, reason = ''] =
      /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/.exec(line) ?? []
    if (status === undefined) throw invalid('its first line is not a status line of HTTP/1')
    this.#isHttp11 = minor === '1'
    this.status = Number(status)
    this.reason = reason
    if (lineEnd !== -1) readFields(text, lineEnd + 2, this.rawHeaders)
    for (let index = 0; index < this.rawHeaders.length; index += 2) {
      this.#interpret(this.rawHeaders[index] ?? '', this.rawHeaders[index + 1] ?? '')
    }
  }

  get isPersistent(): boolean {
    if (this.connection === null) return this.#isHttp11
    if (this.connection.includes('close')) return false
    return this.#isHttp11 || this.connection.includes('keep-alive')
  }

  #interpret(name: string, value: string): void {
    // Lengths first: lower-casing every name would cost more than all the rest.
    switch (name.length) {
      case 10:
        return this.#interpretConnection(name.toLowerCase(), value)
      case 12:
        if (name.toLowerCase() === 'content-type') {
          this.isEventStream = value.toLowerCase().startsWith('text/event-stream')
        }
        return
      case 14:
        if (name.toLowerCase() === 'content-length') this.#interpretLength(value)
        return
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') this.#interpretEncoding(value)
        return
      default:
    }
  }

  #interpretConnection(name: string, value: string): void {
    if (name === 'keep-alive') {
      const [, seconds] = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(value) ?? []
      if (seconds !== undefined) this.keepAliveS = Number(seconds)
      return
    }
    if (name !== 'connection') return
    const tokens = value.toLowerCase().split(',')
    this.connection = [...(this.connection ?? []), ...tokens.map((token) => token.trim())]
  }

  #interpretLength(value: string): void {
    const length = Number(value)
    const isValid = /^\d+$/.test(value) && Number.isSafeInteger(length)
    if (!isValid) throw invalid('its Content-Length is not a number')
    if (this.contentLength !== null) throw invalid('it sent Content-Length twice')
    this.contentLength = length
  }

  #interpretEncoding(value: string): void {
    if (value.toLowerCase() !== 'chunked' || this.isChunked || !this.#isHttp11) {
      throw invalid('it uses a Transfer-Encoding other than chunked')
    }
    this.isChunked = true
  }
}

function readFields(text: string, start: number, into: string[]): void {
  let offset = start
  while (offset < text.length) {
    const found = text.indexOf('\r\n', offset)
    const end = found === -1 ? text.length : found
    const colon = text.indexOf(':', offset)
    if (colon === -1 || colon > end) throw invalid('a header has no colon')
    const name = text.slice(offset, colon)
    if (!TOKEN.test(name)) throw invalid('a header has an invalid name')
    into.push(name, text.slice(colon + 1, end).trim())
    offset = end + 2
  }
  if (into.length > HEADERS_MAX * 2) throw invalid('it sent too many headers')
}

function invalid(what: string): QuiverError {
  return new QuiverError('unavailable', 'RESPONSE_INVALID', `the response is not HTTP: ${what}`)
}
