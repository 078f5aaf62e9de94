/** The memory of one core instance and the handles of its component, as values are converted from and to them. */

import { QuiverError } from '../../core/error.ts'
import { trap } from '../trap.ts'

import { refuse, type Handles } from './handles.ts'
import type { ResourceType } from './types.ts'

export type CoreValue = number | bigint
export type Encoding = 'utf8' | 'utf16' | 'latin1+utf16'

const NO_BYTES = new DataView(new ArrayBuffer(0))
const STRING_BYTES_MAX = 2 ** 31 - 1
const UTF16_TAG = 2 ** 31
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const LATIN1 = /^[\0-\xff]*$/

export interface ConversionParts {
  readonly encoding: Encoding
  readonly handles: Handles
  /** Number of the component instance. */
  readonly owner: number
  readonly memory: WebAssembly.Memory | null
  readonly realloc: ((...args: readonly number[]) => unknown) | null
}

export class Conversion {
  readonly handles: Handles
  readonly owner: number
  readonly #encoding: Encoding
  readonly #memory: WebAssembly.Memory | null
  readonly #realloc: ConversionParts['realloc']
  #view: DataView<ArrayBuffer> = NO_BYTES
  #loans: number[] | null = null

  constructor({ encoding, handles, owner, memory, realloc }: ConversionParts) {
    this.handles = handles
    this.owner = owner
    this.#encoding = encoding
    this.#memory = memory
    this.#realloc = realloc
  }

  /** Of the whole memory; not to be kept over a call of the guest. */
  get view(): DataView<ArrayBuffer> {
    const buffer = this.#memory?.buffer
    if (buffer === undefined) return refuse('it passes values through a memory that it has not')
    if (this.#view.buffer !== buffer) this.#view = new DataView(buffer)
    return this.#view
  }

  /** Checks that so many bytes at `at` are the guest's. */
  check(at: number, bytes: number, align: number): void {
    if (at % align !== 0) refuse(`address ${at} is not a multiple of ${align}`)
    if (at + bytes > this.view.byteLength) refuse(`${bytes} bytes at ${at} are not its own`)
  }

  /** A copy. */
  read(at: number, bytes: number): Uint8Array<ArrayBuffer> {
    this.check(at, bytes, 1)
    return new Uint8Array(this.view.buffer.slice(at, at + bytes))
  }

  /** Asks the guest for room. */
  allocate(bytes: number, align: number): number {
    if (this.#realloc === null) return refuse('it gives no way to allocate memory')
    const at = this.#realloc(0, 0, align, bytes)
    if (typeof at !== 'number') return refuse('its realloc returns no address')
    this.check(at >>> 0, bytes, align)
    return at >>> 0
  }

  /** Allocates a copy of `bytes`. */
  write(bytes: Uint8Array): number {
    const at = this.allocate(bytes.length, 1)
    new Uint8Array(this.view.buffer, at, bytes.length).set(bytes)
    return at
  }

  readString(at: number, length: number): string {
    if (this.#encoding === 'utf8') {
      this.check(at, length, 1)
      return this.#decodeUtf8(at, length)
    }
    const isWide = this.#encoding === 'utf16' || length >= UTF16_TAG
    const units = isWide && this.#encoding !== 'utf16' ? length - UTF16_TAG : length
    const bytes = isWide ? units * 2 : units
    if (bytes > STRING_BYTES_MAX) refuse('a string is too long')
    this.check(at, bytes, 2)
    const text = Buffer.from(this.view.buffer, at, bytes)
    return text.toString(isWide ? 'utf16le' : 'latin1')
  }

  /** @returns address and length, as the guest's encoding counts it */
  writeString(text: string): readonly [at: number, length: number] {
    if (this.#encoding === 'utf8') {
      const bytes = Buffer.byteLength(text)
      if (bytes > STRING_BYTES_MAX) refuseLong()
      const at = this.allocate(bytes, 1)
      Buffer.from(this.view.buffer, at, bytes).write(text, 'utf8')
      return [at, bytes]
    }
    const isNarrow = this.#encoding === 'latin1+utf16' && LATIN1.test(text)
    const bytes = isNarrow ? text.length : text.length * 2
    if (bytes > STRING_BYTES_MAX) refuseLong()
    const at = this.allocate(bytes, 2)
    Buffer.from(this.view.buffer, at, bytes).write(text, isNarrow ? 'latin1' : 'utf16le')
    if (isNarrow || this.#encoding === 'utf16') return [at, text.length]
    return [at, text.length + UTF16_TAG]
  }

  /** A handle that is the guest's until `endLoans`. */
  lend(resource: ResourceType, representation: number | object): number {
    const index = this.handles.add(resource, representation, false)
    this.#loans ??= []
    this.#loans.push(index)
    return index
  }

  endLoans(): void {
    for (const index of this.#loans ?? []) this.handles.forget(index)
    this.#loans = null
  }

  #decodeUtf8(at: number, length: number): string {
    try {
      return utf8.decode(new Uint8Array(this.view.buffer, at, length))
    } catch {
      return refuse('a string is not UTF-8')
    }
  }
}

function refuseLong(): never {
  const message = 'a string is too long for a component'
  return trap(new QuiverError('resource_exhausted', 'TRAPPED', message))
}
