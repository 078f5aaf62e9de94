/** `TextEncoder` and `TextDecoder` of the Encoding standard; the work is the host's. Runs in the engine. */

import type { Host } from './host.ts'

declare const host: Host

export class TextEncoder {
  get encoding(): string {
    return 'utf-8'
  }

  encode(text: unknown = ''): Uint8Array {
    return host.encode(String(text))
  }

  /** Whole characters only, as many as there is room for. */
  encodeInto(source: unknown, target: Uint8Array): { read: number; written: number } {
    let [read, written] = [0, 0]
    for (const character of String(source)) {
      const bytes = host.encode(character)
      if (written + bytes.length > target.length) break
      target.set(bytes, written)
      written += bytes.length
      read += character.length
    }
    return { read, written }
  }
}

export class TextDecoder {
  readonly #encoding: string
  readonly #isFatal: boolean
  readonly #ignoreBom: boolean
  /** The beginning of a character whose end comes with the next bytes. */
  #rest = new Uint8Array(0)
  #hasBegun = false

  constructor(label: unknown = 'utf-8', options: { fatal?: unknown; ignoreBOM?: unknown } = {}) {
    const encoding = host.encoding(String(label))
    if (encoding === undefined) throw new RangeError(`there is no encoding "${String(label)}"`)
    this.#encoding = encoding
    this.#isFatal = Boolean(options.fatal)
    this.#ignoreBom = Boolean(options.ignoreBOM)
  }

  get encoding(): string {
    return this.#encoding
  }

  get fatal(): boolean {
    return this.#isFatal
  }

  get ignoreBOM(): boolean {
    return this.#ignoreBom
  }

  decode(input?: ArrayBuffer | ArrayBufferView, options: { stream?: unknown } = {}): string {
    const isStream = Boolean(options.stream)
    if (isStream && this.#encoding !== 'utf-8') {
      throw new TypeError(`${this.#encoding} cannot be decoded in pieces`)
    }
    const bytes = this.#join(input)
    const end = isStream ? TextDecoder.#wholeEnd(bytes) : bytes.length
    // A mark in the middle of a stream is a character like others.
    const keepsMark = this.#ignoreBom || this.#hasBegun
    const flags = `${this.#isFatal ? 'f' : ''}${keepsMark ? 'b' : ''}`
    const text = host.decode(bytes.subarray(0, end), this.#encoding, flags)
    this.#rest = isStream ? bytes.slice(end) : new Uint8Array(0)
    this.#hasBegun = isStream && (this.#hasBegun || end > 0)
    if (text === undefined) throw new TypeError(`the bytes are not ${this.#encoding}`)
    return text
  }

  #join(input: ArrayBuffer | ArrayBufferView | undefined): Uint8Array {
    if (input === undefined) return this.#rest
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input)
    if (this.#rest.length === 0) return bytes
    const joined = new Uint8Array(this.#rest.length + bytes.length)
    joined.set(this.#rest)
    joined.set(bytes, this.#rest.length)
    return joined
  }

  /** Where the last whole character of UTF-8 ends. */
  static #wholeEnd(bytes: Uint8Array): number {
    const { length } = bytes
    for (let back = 1; back <= 3 && back <= length; back++) {
      const byte = bytes[length - back] ?? 0
      if (byte < 0x80) return length
      if (byte < 0xc0) continue
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return back < needed ? length - back : length
    }
    return length
  }
}
