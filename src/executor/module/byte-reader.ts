/**
 * A cursor over hostile bytes that never reads past its end and says where it stopped.
 *
 * It knows the encodings of the WebAssembly binary format (LEB128, names) but no section.
 */

import { QuiverError } from '../../core/error.ts'

/** What one module may hold at most. V8's own limits are as high or higher, so what passes here may still fail there. */
export const MODULE_BYTES_MAX = 256 * 1024 * 1024
const NAME_BYTES_MAX = 16 * 1024
/** All names of a module together. */
const NAMES_BYTES_MAX = 16 * 1024 * 1024

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class ByteReader {
  readonly bytes: Uint8Array
  /** For messages: `export section`. */
  part = 'header'
  offset = 0
  /** Nothing at or behind it is read; moved to the end of a section while that is read. */
  end: number
  #nameBytes = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.end = bytes.length
  }

  get isAtEnd(): boolean {
    return this.offset >= this.end
  }

  u8(what: string): number {
    const byte = this.offset < this.end ? this.bytes[this.offset] : undefined
    if (byte === undefined) return this.fail(`ends where ${what} is expected`)
    this.offset++
    return byte
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32(what: string): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8(what)
      if (shift === 28 && byte > 0x0f) return this.fail(`${what} is not a 32-bit number`)
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return this.fail(`${what} is not a 32-bit number`)
  }

  /** An unsigned LEB128 of at most 64 bits; above 2⁵³ only its magnitude is right. */
  u64(what: string): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.u8(what)
      if (shift === 63 && byte > 1) return this.fail(`${what} is not a 64-bit number`)
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return this.fail(`${what} is not a 64-bit number`)
  }

  /** A signed LEB128 of at most 33 bits: a type index, or a negative code of a type. */
  s33(what: string): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8(what)
      value += (byte & 0x7f) * 2 ** shift
      if (byte >= 0x80) continue
      // Bits 4 to 6 of a fifth byte are copies of the sign.
      const extension = byte & 0x70
      if (shift === 28 && extension !== 0 && extension !== 0x70) break
      return (byte & 0x40) === 0 ? value : value - 2 ** (shift + 7)
    }
    return this.fail(`${what} is not a 33-bit number`)
  }

  /** Passes over a LEB128 whose value does not matter. */
  skipLeb(bytesMax: number, what: string): void {
    for (let count = 0; count < bytesMax; count++) {
      if (this.u8(what) < 0x80) return
    }
    this.fail(`${what} is longer than ${bytesMax} bytes`)
  }

  skip(count: number, what: string): void {
    if (count > this.end - this.offset) {
      this.fail(`${what} is said to have ${count} bytes, and ${this.end - this.offset} are left`)
    }
    this.offset += count
  }

  /**
   * How many entries follow. What each takes is at least `entryBytesMin`, so that a count alone never makes us allocate.
   *
   * @throws QuiverError `invalid_argument/MODULE_TOO_LARGE` above `max`
   */
  count(what: string, max: number, entryBytesMin = 1): number {
    const at = this.offset
    const count = this.u32(`the number of ${what}`)
    if (count > max) return this.refuse(`has ${count} ${what}, and ${max} are allowed`, at)
    if (count * entryBytesMin > this.end - this.offset) {
      return this.fail(`says that it has ${count} ${what}, which its size cannot hold`, at)
    }
    return count
  }

  name(what: string): string {
    const at = this.offset
    const length = this.u32(`the length of ${what}`)
    if (length > NAME_BYTES_MAX) {
      return this.refuse(`has ${what} of ${length} bytes, and ${NAME_BYTES_MAX} are allowed`, at)
    }
    this.#nameBytes += length
    if (this.#nameBytes > NAMES_BYTES_MAX) {
      return this.refuse(`has more than ${NAMES_BYTES_MAX} bytes of names in all`, at)
    }
    this.skip(length, what)
    try {
      return utf8.decode(this.bytes.subarray(this.offset - length, this.offset))
    } catch {
      return this.fail(`${what} is not UTF-8`, at)
    }
  }

  /** @throws QuiverError `invalid_argument/MODULE_INVALID` that says where */
  fail(problem: string, at = this.offset): never {
    throw new QuiverError(
      'invalid_argument',
      'MODULE_INVALID',
      `not a valid WebAssembly module: ${this.part}, byte ${at}: ${problem}`,
      {
        hint: 'Build the file again and copy it as binary; "wasm-tools validate" or "wasm-validate" tells more.',
        details: { part: this.part, offset: at },
      },
    )
  }

  /** @throws QuiverError `invalid_argument/MODULE_TOO_LARGE` that says where */
  refuse(problem: string, at = this.offset): never {
    throw new QuiverError(
      'invalid_argument',
      'MODULE_TOO_LARGE',
      `the WebAssembly module is too large: ${this.part}, byte ${at}: ${problem}`,
      {
        hint: 'Build it for size: "wasm-opt -Oz", "wasm-strip", fewer exported symbols.',
        details: { part: this.part, offset: at },
      },
    )
  }
}
