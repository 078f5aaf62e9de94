/** The body of a request on its way to a guest: read when the guest asks, and held back while it does not. */

const QUEUED_BYTES_MAX = 256 * 1024
const LINE_END = Buffer.from('\r\n')
const CHUNK_LINE_BYTES_MAX = 4096
const TRAILERS_MAX = 64
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** What the reader of a body may do with the connection. */
export interface BodySource {
  pause(): void
  resume(): void
}

type Framing = 'length' | 'size' | 'chunk' | 'chunkEnd' | 'trailers' | 'done'

export class RequestBody {
  readonly #source: BodySource
  readonly #queue: Buffer[] = []
  #queuedBytes = 0
  #framing: Framing
  #remaining: number
  #isPaused = false
  #failure: Error | null = null
  #trailers: readonly string[] = NO_TRAILERS
  #waiting: (() => void) | null = null

  /** @param length  bytes that follow; null: chunked */
  constructor(source: BodySource, length: number | null) {
    this.#source = source
    this.#remaining = length ?? 0
    this.#framing = length === null ? 'size' : length === 0 ? 'done' : 'length'
  }

  /** All of it has come, read or not. */
  get isComplete(): boolean {
    return this.#framing === 'done'
  }

  /** Name, value, name, value …, latin1; none until the body is complete. */
  get trailers(): readonly string[] {
    return this.isComplete ? this.#trailers : NO_TRAILERS
  }

  /**
   * Takes bytes of the connection.
   *
   * @returns how many of them belong to the body
   * @throws Error when they are not in the form that was announced
   */
  feed(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length && this.#framing !== 'done') {
      const next = this.#step(bytes, at)
      if (next === -1) break
      at = next
    }
    if (this.#queuedBytes > QUEUED_BYTES_MAX && !this.#isPaused) {
      this.#isPaused = true
      this.#source.pause()
    }
    this.#wake()
    return at
  }

  /** The connection ended before the body did. */
  fail(error: Error): void {
    this.#failure = error
    this.#wake()
  }

  /**
   * Up to `max` bytes that the caller owns; null at the end.
   *
   * @throws Error (or rejects) when the client went away
   */
  read(max: number): Uint8Array | null | Promise<Uint8Array | null> {
    const first = this.#queue[0]
    if (first !== undefined) return this.#take(first, max)
    if (this.#framing === 'done') return null
    if (this.#failure !== null) throw this.#failure
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting = resolve
    return promise.then(() => this.read(max))
  }

  /** The whole body. @throws RangeError when it is longer than `bytesMax` */
  readAll(bytesMax: number): Uint8Array | Promise<Uint8Array> {
    const [only] = this.#queue
    if (this.#framing === 'done' && this.#queue.length <= 1) {
      this.discard()
      if (only !== undefined && only.length > bytesMax) throw tooLong(bytesMax)
      return only ?? EMPTY
    }
    return this.#collect(bytesMax)
  }

  /** Forgets what has come and was not read. */
  discard(): void {
    this.#queue.length = 0
    this.#queuedBytes = 0
  }

  async #collect(bytesMax: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let total = 0
    for (;;) {
      const part = await this.read(QUEUED_BYTES_MAX)
      if (part === null) return Buffer.concat(parts, total)
      total += part.length
      if (total > bytesMax) throw tooLong(bytesMax)
      parts.push(part)
    }
  }

  #take(first: Buffer, max: number): Uint8Array {
    const isWhole = first.length <= max
    const taken = isWhole ? first : first.subarray(0, max)
    if (isWhole) this.#queue.shift()
    else this.#queue[0] = first.subarray(max)
    this.#queuedBytes -= taken.length
    if (this.#isPaused && this.#queuedBytes < QUEUED_BYTES_MAX / 2) {
      this.#isPaused = false
      this.#source.resume()
    }
    return taken
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.()
  }

  /** @returns the offset reached; -1: more bytes are needed */
  #step(bytes: Buffer, at: number): number {
    switch (this.#framing) {
      case 'length':
      case 'chunk':
        return this.#readData(bytes, at)
      case 'size':
        return this.#readSize(bytes, at)
      case 'chunkEnd':
        if (bytes.length - at < 2) return -1
        this.#framing = 'size'
        return at + 2
      case 'trailers':
        return this.#readTrailer(bytes, at)
      case 'done':
        return -1
      default:
        return this.#framing satisfies never
    }
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining)
    this.#queue.push(bytes.subarray(at, end))
    this.#queuedBytes += end - at
    this.#remaining -= end - at
    if (this.#remaining === 0) this.#framing = this.#framing === 'length' ? 'done' : 'chunkEnd'
    return end
  }

  #readSize(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LINE_END, at)
    if (end === -1 && bytes.length - at < CHUNK_LINE_BYTES_MAX) return -1
    const [, digits] =
      /^([\dA-Fa-f]{1,13})(?:[ \t]*;.*)?$/.exec(bytes.toString('latin1', at, end)) ?? []
    if (digits === undefined) throw new Error('a chunk has an invalid size')
    this.#remaining = Number.parseInt(digits, 16)
    this.#framing = this.#remaining === 0 ? 'trailers' : 'chunk'
    return end + 2
  }

  #readTrailer(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LINE_END, at)
    if (end === -1) {
      if (bytes.length - at > CHUNK_LINE_BYTES_MAX) throw new Error('a trailer is too long')
      return -1
    }
    if (end === at) this.#framing = 'done'
    else this.#addTrailer(bytes.toString('latin1', at, end))
    return end + 2
  }

  #addTrailer(line: string): void {
    const colon = line.indexOf(':')
    const isField = TOKEN.test(line.slice(0, Math.max(0, colon)))
    if (!isField || this.#trailers.length >= 2 * TRAILERS_MAX)
      throw new Error('a trailer is invalid')
    this.#trailers = [...this.#trailers, line.slice(0, colon), line.slice(colon + 1).trim()]
  }
}

const EMPTY = new Uint8Array(0)
const NO_TRAILERS: readonly string[] = []

function tooLong(bytesMax: number): RangeError {
  return new RangeError(`the body is longer than ${bytesMax} bytes`)
}
