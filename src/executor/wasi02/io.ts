/**
 * `wasi:io`: streams, what can be waited for, and errors. Streams lie over the sources and sinks of WASI preview 1, so files,
 * bodies and standard streams are the same in both.
 */

import { Failure } from '../component/function-codec.ts'
import { refuse } from '../component/handles.ts'
import type { HostCall } from '../component/host.ts'
import { errnoOfThrown } from '../wasi/errno.ts'
import { Reader, type ByteSink, type ByteSource } from '../wasi/streams.ts'

import type { World } from './world.ts'

/** What a guest may write before it has to ask again. */
const PERMITTED_BYTES = 256 * 1024
const READ_BYTES_MAX = 1024 * 1024
const ZEROES_BYTES_MAX = 16 * 1024 * 1024
const CLOSED = { tag: 'closed' } as const

/** `wasi:io/error`: why a stream broke. */
export class IoError {
  /** What was thrown: a system error, or a failure of WASI. */
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }

  get message(): string {
    return this.cause instanceof Error ? this.cause.message : 'the stream broke'
  }
}

/** Something that will be ready. */
export class Pollable {
  readonly #isReady: () => boolean
  readonly #wait: () => Promise<unknown>
  readonly #drop: () => void

  /** @param wait  resolves when it may have become ready, and never rejects */
  constructor(isReady: () => boolean, wait: () => Promise<unknown>, onDrop: () => void = () => {}) {
    this.#isReady = isReady
    this.#wait = wait
    this.#drop = onDrop
  }

  get isReady(): boolean {
    return this.#isReady()
  }

  wait(): Promise<unknown> {
    return this.#wait()
  }

  block(): void | Promise<void> {
    return this.isReady ? undefined : this.#blockLater()
  }

  drop(): void {
    this.#drop()
  }

  async #blockLater(): Promise<void> {
    while (!this.isReady) await this.#wait()
  }
}

function poll(pollables: readonly Pollable[]): readonly number[] | Promise<readonly number[]> {
  if (pollables.length === 0) refuse('it waits for nothing')
  const ready = indicesOfReady(pollables)
  return ready.length > 0 ? ready : pollLater(pollables)
}

async function pollLater(pollables: readonly Pollable[]): Promise<readonly number[]> {
  for (;;) {
    await Promise.race(pollables.map((one) => one.wait()))
    const ready = indicesOfReady(pollables)
    if (ready.length > 0) return ready
  }
}

function indicesOfReady(pollables: readonly Pollable[]): readonly number[] {
  return pollables.flatMap((one, index) => (one.isReady ? index : []))
}

/** System errors break a stream; whatever else is thrown ends the guest. */
function brokenBy(thrown: unknown): Failure {
  if (errnoOfThrown(thrown) === undefined) throw thrown
  return new Failure({ tag: 'last-operation-failed', val: new IoError(thrown) })
}

export class InputStream {
  readonly #reader: Reader
  readonly #onDrop: () => void
  #waiting: Promise<void> | undefined

  constructor(source: ByteSource, onDrop: () => void = () => {}) {
    this.#reader = new Reader(source)
    this.#onDrop = onDrop
  }

  /** What is there: none if nothing is yet. */
  read(length: bigint): Uint8Array | Promise<Uint8Array> {
    this.#reader.readAhead()
    if (this.#reader.available === undefined) return NOTHING
    return this.#take(length)
  }

  blockingRead(length: bigint): Uint8Array | Promise<Uint8Array> {
    return this.#take(length)
  }

  subscribe(): Pollable {
    return new Pollable(
      () => {
        this.#reader.readAhead()
        return this.#reader.available !== undefined
      },
      () => this.#whenReady(),
    )
  }

  drop(): void {
    void this.#reader.close()
    this.#onDrop()
  }

  #take(length: bigint): Uint8Array | Promise<Uint8Array> {
    if (length === 0n) return NOTHING
    try {
      const taken = this.#reader.read(Number(length > READ_BYTES_MAX ? READ_BYTES_MAX : length))
      return taken instanceof Promise ? this.#takeLater(taken) : this.#taken(taken)
    } catch (thrown) {
      throw thrown instanceof Failure ? thrown : brokenBy(thrown)
    }
  }

  async #takeLater(pending: Promise<Uint8Array>): Promise<Uint8Array> {
    let taken: Uint8Array
    try {
      taken = await pending
    } catch (thrown) {
      throw brokenBy(thrown)
    }
    return this.#taken(taken)
  }

  #taken(bytes: Uint8Array): Uint8Array {
    if (bytes.length === 0) throw new Failure(CLOSED)
    return bytes
  }

  /** The reader wakes one, so all who wait share that. */
  #whenReady(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      this.#reader.onReady(() => {
        this.#waiting = undefined
        resolve()
      })
    })
    return this.#waiting
  }
}

const NOTHING = new Uint8Array(0)

export class OutputStream {
  readonly #sink: ByteSink
  readonly #onDrop: () => void
  #pending: Promise<void> | undefined
  #failure: { readonly thrown: unknown } | undefined
  #isClosed = false

  constructor(sink: ByteSink, onDrop: () => void = () => {}) {
    this.#sink = sink
    this.#onDrop = onDrop
  }

  /** How many bytes may be written now. */
  checkWrite(): bigint {
    this.#assertOpen()
    return this.#pending === undefined ? BigInt(PERMITTED_BYTES) : 0n
  }

  write(bytes: Uint8Array): void {
    this.#assertOpen()
    if (this.#pending !== undefined) refuse('it writes to a stream that is not ready')
    this.#send(bytes)
  }

  flush(): void {
    this.#assertOpen()
  }

  blockingFlush(): void | Promise<void> {
    this.#assertOpen()
    return this.#pending === undefined ? undefined : this.#flushed()
  }

  blockingWrite(bytes: Uint8Array): void | Promise<void> {
    if (this.#pending !== undefined) return this.#writeLater(bytes)
    this.write(bytes)
    return this.blockingFlush()
  }

  /** From a stream to this one, as much as both can do now. */
  splice(source: InputStream, length: bigint): bigint | Promise<bigint> {
    const permitted = this.checkWrite()
    const wanted = length < permitted ? length : permitted
    const taken = source.read(wanted)
    return taken instanceof Promise ? taken.then((bytes) => this.#pass(bytes)) : this.#pass(taken)
  }

  async blockingSplice(source: InputStream, length: bigint): Promise<bigint> {
    await this.blockingFlush()
    const bytes = await source.blockingRead(length)
    await this.blockingWrite(bytes)
    return BigInt(bytes.length)
  }

  subscribe(): Pollable {
    return new Pollable(
      () => this.#pending === undefined,
      async () => await this.#pending,
    )
  }

  drop(): void {
    void this.#sink.close?.()
    this.#onDrop()
  }

  #pass(bytes: Uint8Array): bigint {
    if (bytes.length > 0) this.write(bytes)
    return BigInt(bytes.length)
  }

  async #writeLater(bytes: Uint8Array): Promise<void> {
    await this.#flushed()
    await this.blockingWrite(bytes)
  }

  async #flushed(): Promise<void> {
    await this.#pending
    this.#assertOpen()
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    try {
      const sent = this.#sink.write(bytes)
      if (sent instanceof Promise) this.#pending = this.#sendLater(sent)
    } catch (thrown) {
      this.#isClosed = true
      throw brokenBy(thrown)
    }
  }

  /** Never rejects: whatever the guest does next gets the failure. */
  async #sendLater(sent: Promise<void>): Promise<void> {
    try {
      await sent
    } catch (thrown) {
      this.#failure = { thrown }
    }
    this.#pending = undefined
  }

  #assertOpen(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) {
      this.#isClosed = true
      throw brokenBy(failure.thrown)
    }
    if (this.#isClosed) throw new Failure(CLOSED)
  }
}

function zeroes(length: bigint): Uint8Array {
  if (length > ZEROES_BYTES_MAX) refuse(`it writes ${length} zeroes at once`)
  return new Uint8Array(Number(length))
}

function countOf(bytes: Uint8Array | Promise<Uint8Array>): bigint | Promise<bigint> {
  if (bytes instanceof Promise) return bytes.then(({ length }) => BigInt(length))
  return BigInt(bytes.length)
}

export const ERROR: Readonly<Record<string, HostCall<World>>> = {
  '[method]error.to-debug-string': (_world, error: IoError) => error.message,
}

export const POLL: Readonly<Record<string, HostCall<World>>> = {
  '[method]pollable.ready': (_world, pollable: Pollable) => pollable.isReady,
  '[method]pollable.block': (_world, pollable: Pollable) => pollable.block(),
  poll: (_world, pollables: readonly Pollable[]) => poll(pollables),
}

export const STREAMS: Readonly<Record<string, HostCall<World>>> = {
  '[method]input-stream.read': (_world, stream: InputStream, length: bigint) => stream.read(length),
  '[method]input-stream.blocking-read': (_world, stream: InputStream, length: bigint) =>
    stream.blockingRead(length),
  '[method]input-stream.skip': (_world, stream: InputStream, length: bigint) =>
    countOf(stream.read(length)),
  '[method]input-stream.blocking-skip': (_world, stream: InputStream, length: bigint) =>
    countOf(stream.blockingRead(length)),
  '[method]input-stream.subscribe': (_world, stream: InputStream) => stream.subscribe(),
  '[method]output-stream.check-write': (_world, stream: OutputStream) => stream.checkWrite(),
  '[method]output-stream.write': (_world, stream: OutputStream, bytes: Uint8Array) =>
    stream.write(bytes),
  '[method]output-stream.blocking-write-and-flush': (
    _world,
    stream: OutputStream,
    bytes: Uint8Array,
  ) => stream.blockingWrite(bytes),
  '[method]output-stream.flush': (_world, stream: OutputStream) => stream.flush(),
  '[method]output-stream.blocking-flush': (_world, stream: OutputStream) => stream.blockingFlush(),
  '[method]output-stream.subscribe': (_world, stream: OutputStream) => stream.subscribe(),
  '[method]output-stream.write-zeroes': (_world, stream: OutputStream, length: bigint) =>
    stream.write(zeroes(length)),
  '[method]output-stream.blocking-write-zeroes-and-flush': (
    _world,
    stream: OutputStream,
    length: bigint,
  ) => stream.blockingWrite(zeroes(length)),
  '[method]output-stream.splice': (
    _world,
    stream: OutputStream,
    source: InputStream,
    length: bigint,
  ) => stream.splice(source, length),
  '[method]output-stream.blocking-splice': (
    _world,
    stream: OutputStream,
    source: InputStream,
    length: bigint,
  ) => stream.blockingSplice(source, length),
}
