/**
 * The state that the host functions have for one request: the guest's memory, its buffers, and what it used of its limits.
 *
 * A thread has many at the same time, since a guest that waits leaves it to others; nothing here is shared between them.
 */

import { QuiverError } from '../../core/error.ts'
import { GUEST_ERROR } from '../../guest/functions.ts'
import { CallRate } from '../call-rate.ts'
import type { GuestHost } from '../guest-host.ts'
import { trap } from '../trap.ts'

import { ExchangeBuffer } from './exchange-buffer.ts'

/** Ids that no guest uses as a number by chance, so that an argument of a linked call can be told to be one. Positive as i32. */
const ID_BASE = 0x5142_0000
const ID_INPUT = ID_BASE + 1
const ID_OUTPUT = ID_BASE + 2
const ID_MAX = 0x7fff_ffff
const NONE = 0
/** Longer texts than this are no names, methods, URLs or header values. */
const TEXT_BYTES_MAX = 64 * 1024
/** What says where the answer ends is for the server to say. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const EMPTY = new Uint8Array(0)
export const STATUS_MIN = 200
export const STATUS_MAX = 599

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A result that stands for an error, thrown from wherever it is found; the wrapper of the host function returns it. */
export class GuestError {
  readonly result: number

  constructor(result: number) {
    this.result = result
  }
}

export interface Answer {
  /** null: the guest set none. */
  readonly status: number | null
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
}

export class HostSession {
  #host: GuestHost
  #memory: WebAssembly.Memory | undefined
  #view: Uint8Array = EMPTY
  #input: ExchangeBuffer | undefined
  #output: ExchangeBuffer | undefined
  readonly #buffers = new Map<number, ExchangeBuffer>()
  #bufferBytes = 0
  #nextId = ID_OUTPUT + 1
  readonly #calls: CallRate
  #failure: QuiverError | null = null

  constructor(host: GuestHost) {
    this.#host = host
    this.#calls = new CallRate(host.limits.callsPerSecondMax)
  }

  get host(): GuestHost {
    return this.#host
  }

  /** The next request of an instance that is kept: what it has of the one before is gone, but for its memory. */
  renew(host: GuestHost): void {
    this.#host = host
    this.#input = undefined
    this.#output = undefined
    this.#buffers.clear()
    this.#bufferBytes = 0
  }

  /** Why the guest was ended, by a limit, a bad address or `end`; null if it was not. */
  get failure(): QuiverError | null {
    return this.#failure
  }

  /** What the guest answered; null when it never touched its output. */
  get answer(): Answer | null {
    const output = this.#output
    if (output === undefined || !output.isTouched) return null
    const headers = output.rawHeaders
    const isKept = (index: number): boolean => {
      const name = headers[index - (index % 2)] ?? ''
      return !FRAMING.has(name.toLowerCase())
    }
    return {
      status: output.hasStatus ? output.status : null,
      rawHeaders: headers.filter((_, index) => isKept(index)),
      body: output.bytes,
    }
  }

  /**
   * Takes what the entry of a function returned: an i32 of 200 to 599 is the status, unless the guest has set one. Guests of the
   * older interface return it so; one that returns anything else answers with 200.
   */
  takeResult(result: unknown): void {
    if (typeof result !== 'number' || result < STATUS_MIN || result > STATUS_MAX) return
    if (Number.isInteger(result) && !this.output.hasStatus) this.output.setStatus(result)
  }

  /** Gives the instance's memory, once it is there. Until then every address is bad. */
  attach(memory: unknown): void {
    if (memory instanceof WebAssembly.Memory) this.#memory = memory
  }

  /** Ends the guest at its next host call, or when what it waits for settles. */
  end(reason: QuiverError): void {
    this.#failure ??= reason
  }

  /** Counts a host call. Traps when there were too many, or the guest was ended. */
  enter(): void {
    if (this.#failure !== null) trap(this.#failure)
    const excess = this.#calls.count()
    if (excess !== null) this.fail(excess)
  }

  /** Ends the guest for a reason. */
  fail(reason: QuiverError): never {
    this.#failure ??= reason
    return trap(this.#failure)
  }

  /** Bytes of the guest; valid until it runs or grows its memory. Traps when they are not all there. */
  area(address: number, length: number): Uint8Array {
    const size = length >>> 0
    if (size === 0) return EMPTY
    // A buffer that grew was detached, and views of it are empty.
    if (this.#view.length === 0 && this.#memory !== undefined) {
      this.#view = new Uint8Array(this.#memory.buffer)
    }
    const start = address >>> 0
    if (start + size > this.#view.length) return this.#failAddress(start, size)
    return this.#view.subarray(start, start + size)
  }

  /** A UTF-8 text of the guest. Throws INVALID_ARGUMENT when it is none, or too long for what texts are used for. */
  text(address: number, length: number): string {
    const bytes = this.area(address, length)
    if (bytes.length > TEXT_BYTES_MAX) throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
    try {
      return utf8.decode(bytes)
    } catch {
      throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
    }
  }

  /** Bytes of a header, as latin1. */
  latin1(address: number, length: number): string {
    const bytes = this.area(address, length)
    if (bytes.length > TEXT_BYTES_MAX) throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  }

  /** Writes as much of a result as fits, and returns its whole length. */
  give(bytes: Uint8Array, into: number, capacity: number): number {
    const area = this.area(into, capacity)
    if (bytes.length > 0 && area.length > 0) {
      area.set(bytes.length <= area.length ? bytes : bytes.subarray(0, area.length))
    }
    return bytes.length
  }

  /** Throws UNKNOWN_BUFFER. */
  buffer(id: number): ExchangeBuffer {
    const found = this.find(id)
    if (found === undefined) throw new GuestError(GUEST_ERROR.UNKNOWN_BUFFER)
    return found
  }

  find(id: number): ExchangeBuffer | undefined {
    if (id === ID_INPUT) return this.input
    if (id === ID_OUTPUT) return this.output
    return this.#buffers.get(id)
  }

  /** The buffer, or an empty one for id 0. */
  bufferOrNone(id: number): ExchangeBuffer {
    return id === NONE ? new ExchangeBuffer(EMPTY) : this.buffer(id)
  }

  get inputId(): number {
    return ID_INPUT
  }

  get outputId(): number {
    return ID_OUTPUT
  }

  get input(): ExchangeBuffer {
    const { inputs, request } = this.host
    return (this.#input ??= new ExchangeBuffer(inputs[0] ?? EMPTY, request.rawHeaders))
  }

  get output(): ExchangeBuffer {
    return (this.#output ??= new ExchangeBuffer(EMPTY))
  }

  /** Bytes that another buffer, or more of one, may still have. */
  get roomBytes(): number {
    return Math.max(0, this.host.limits.bufferBytesMax - this.#bufferBytes)
  }

  /** Makes a buffer of bytes that are its own from now on. Returns its id. */
  adopt(
    bytes: Uint8Array,
    rawHeaders: readonly string[] = [],
    status: number | null = null,
  ): number {
    const { buffersMax } = this.host.limits
    if (this.#buffers.size >= buffersMax || this.#nextId >= ID_MAX) {
      this.fail(
        new QuiverError(
          'resource_exhausted',
          'TOO_MANY_BUFFERS',
          `the guest has more than ${buffersMax} buffers at the same time`,
          { hint: 'Free buffers that are no longer needed, or raise limits.files.' },
        ),
      )
    }
    this.#charge(bytes.length)
    const buffer = new ExchangeBuffer(bytes, rawHeaders)
    if (status !== null) buffer.setStatus(status)
    const id = this.#nextId++
    this.#buffers.set(id, buffer)
    return id
  }

  /** A copy of a caller's buffer, under the id that it passes. Before the guest runs. */
  place(id: number, bytes: Uint8Array): void {
    this.#charge(bytes.length)
    const buffer = new ExchangeBuffer(bytes)
    if (id === ID_INPUT) this.#input = buffer
    else if (id === ID_OUTPUT) this.#output = buffer
    else {
      this.#buffers.set(id, buffer)
      this.#nextId = Math.max(this.#nextId, id + 1)
    }
  }

  append(buffer: ExchangeBuffer, bytes: Uint8Array): void {
    if (buffer === this.#output) this.#checkOutput(buffer.size + bytes.length)
    else this.#charge(bytes.length)
    buffer.append(bytes)
  }

  /** Whether there was such a buffer; input and output stay. */
  free(id: number): boolean {
    const found = this.#buffers.get(id)
    if (found === undefined) return false
    this.#bufferBytes -= found.size
    this.#buffers.delete(id)
    return true
  }

  #charge(bytes: number): void {
    this.#bufferBytes += bytes
    const { bufferBytesMax } = this.host.limits
    if (this.#bufferBytes <= bufferBytesMax) return
    this.fail(
      new QuiverError(
        'resource_exhausted',
        'BUFFERS_TOO_LARGE',
        `the guest's buffers hold more than ${bufferBytesMax} bytes`,
        { hint: 'Free buffers that are no longer needed, or raise limits.memory.' },
      ),
    )
  }

  #checkOutput(bytes: number): void {
    const { outputBytesMax } = this.host.limits
    if (bytes <= outputBytesMax) return
    this.fail(
      new QuiverError(
        'resource_exhausted',
        'OUTPUT_TOO_LARGE',
        `the answer is longer than ${outputBytesMax} bytes`,
        { hint: 'Raise limits.output in quiver.toml if that is what it should do.' },
      ),
    )
  }

  #failAddress(start: number, size: number): never {
    return this.fail(
      new QuiverError(
        'unavailable',
        'BAD_ADDRESS',
        `the guest passed address ${start} and length ${size}, which are not in its memory of ${this.#view.length} bytes`,
        { hint: 'Pass an address of the memory that the module exports as "memory".' },
      ),
    )
  }
}
