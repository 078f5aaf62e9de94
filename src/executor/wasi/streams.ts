/**
 * Things without a position that a guest reads or writes: stdin, stdout, and
 * what the embedder opens under names of its own. Either end may be slow; what
 * waits is the guest, never the thread.
 */

/** Where a guest's input comes from. */
export interface ByteSource {
  /**
   * Some bytes, at least one and best no more than `bytesMax`; null at the end, after which it is not called again. Never called
   * while a former call is pending. A system error such as `ECONNRESET` becomes the guest's error number; any other error ends the guest with it.
   */
  read(bytesMax: number): Uint8Array | null | Promise<Uint8Array | null>
  /** The guest has closed it. */
  close?(): void | Promise<void>
  /** A person is at the other end, and guests that ask are told so. */
  readonly isTerminal?: boolean
}

/** Where a guest's output goes. */
export interface ByteSink {
  /**
   * Takes all of `bytes`, which are the sink's to keep. A promise holds the guest until it is settled: that is the back-pressure.
   * `EPIPE`, as a system error, tells the guest that nobody reads; any other error but a system error ends the guest with it.
   */
  write(bytes: Uint8Array): void | Promise<void>
  close?(): void | Promise<void>
  readonly isTerminal?: boolean
}

/** Something with a source, a sink, or both. */
export interface Stream {
  readonly source?: ByteSource | undefined
  readonly sink?: ByteSink | undefined
}

/** How much is read ahead where a guest asks whether there is something to read. */
const AHEAD_BYTES = 65_536
const NOTHING = new Uint8Array(0)

/** A source that remembers what it was given and nobody has taken yet. */
export class Reader {
  readonly #source: ByteSource
  #chunk: Uint8Array | undefined
  #reading: Promise<void> | undefined
  #failure: { readonly thrown: unknown } | undefined
  #isAtEnd = false
  #wake: (() => void) | undefined

  constructor(source: ByteSource) {
    this.#source = source
  }

  /** Bytes that can be had without waiting, 0 at the end as well; undefined if it is not known yet. */
  get available(): number | undefined {
    if (this.#chunk !== undefined) return this.#chunk.byteLength
    return this.#isAtEnd || this.#failure !== undefined ? 0 : undefined
  }

  get isAtEnd(): boolean {
    return this.#isAtEnd && this.#chunk === undefined
  }

  /** Up to `bytesMax` bytes; none at the end. */
  read(bytesMax: number): Uint8Array | Promise<Uint8Array> {
    if (bytesMax === 0) return NOTHING
    const pending = this.#fill(bytesMax)
    return pending === undefined ? this.#take(bytesMax) : this.#takeAfter(pending, bytesMax)
  }

  /** Reads ahead unless it is known by now what is available. */
  readAhead(): void {
    void this.#fill(AHEAD_BYTES)
  }

  /** Calls `wake`, once, when a read ahead has ended; undefined takes that back. */
  onReady(wake: (() => void) | undefined): void {
    this.#wake = wake
  }

  /** What `read` would give, without taking it. */
  async peek(bytesMax: number): Promise<Uint8Array> {
    await this.#fill(AHEAD_BYTES)
    return this.#chunk?.subarray(0, bytesMax) ?? NOTHING
  }

  close(): void | Promise<void> {
    return this.#source.close?.()
  }

  #fill(bytesMax: number): Promise<void> | undefined {
    if (this.#reading !== undefined) return this.#reading
    if (this.available !== undefined) return undefined
    const read = this.#source.read(bytesMax)
    if (!(read instanceof Promise)) {
      this.#accept(read)
      return undefined
    }
    this.#reading = this.#acceptLater(read)
    return this.#reading
  }

  /** Never rejects: whoever reads next gets the failure. */
  async #acceptLater(read: Promise<Uint8Array | null>): Promise<void> {
    try {
      this.#accept(await read)
    } catch (thrown) {
      this.#failure = { thrown }
    }
    this.#reading = undefined
    this.#wake?.()
  }

  #accept(chunk: Uint8Array | null): void {
    if (chunk === null || chunk.byteLength === 0) this.#isAtEnd = true
    else this.#chunk = chunk
  }

  async #takeAfter(pending: Promise<void>, bytesMax: number): Promise<Uint8Array> {
    await pending
    return this.#take(bytesMax)
  }

  #take(bytesMax: number): Uint8Array {
    const failure = this.#failure
    if (failure !== undefined) {
      this.#failure = undefined
      throw failure.thrown
    }
    const chunk = this.#chunk
    if (chunk === undefined) return NOTHING
    this.#chunk = chunk.byteLength > bytesMax ? chunk.subarray(bytesMax) : undefined
    return chunk.subarray(0, bytesMax)
  }
}
