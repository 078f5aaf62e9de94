/**
 * The linear memory of a guest, with every access checked.
 *
 * A guest's memory may grow while a host function waits, and then has another
 * buffer: nothing keeps a view of it across a wait. Pointers come from the guest
 * as signed 32-bit numbers and are read as unsigned ones.
 */

import { IOVEC_BYTES } from './abi.ts'
import { ERRNO, fail } from './errno.ts'

/** As many as Linux takes in one call (IOV_MAX); what is beyond stays for the next call. */
const VECTORS_MAX = 1024

// Made once: each guest begins and ends with them, and a buffer is dear.
const NO_BYTES: Uint8Array = new Uint8Array(0)
const NO_VIEW: DataView = new DataView(NO_BYTES.buffer)

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Pieces of guest memory, in order: checked when they were read, and valid ever after, since memory never shrinks. */
export interface Vectors {
  readonly pieces: readonly { readonly pointer: number; readonly bytes: number }[]
  readonly bytes: number
}

/** What this needs of a `WebAssembly.Memory`. */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike
}

export class GuestMemory {
  #memory: LinearMemory | undefined
  #bytes = NO_BYTES
  #view = NO_VIEW

  bind(memory: LinearMemory): void {
    this.#memory = memory
  }

  /** Lets go of the memory: every access from here on is out of range. */
  release(): void {
    this.#memory = undefined
    this.#bytes = NO_BYTES
    this.#view = NO_VIEW
  }

  /** `length` bytes at `pointer`, to be used before anything is awaited. Throws `FAULT`. */
  range(pointer: number, length: number): Uint8Array {
    const start = this.check(pointer, length)
    return this.#bytes.subarray(start, start + (length >>> 0))
  }

  /** Makes sure that `length` bytes at `pointer` exist, and gives the pointer as an unsigned number. Throws `FAULT`. */
  check(pointer: number, length: number): number {
    this.#refresh()
    const start = pointer >>> 0
    if (start + (length >>> 0) > this.#bytes.byteLength) fail(ERRNO.FAULT)
    return start
  }

  u8(pointer: number): number {
    const at = this.check(pointer, 1)
    return this.#view.getUint8(at)
  }

  u16(pointer: number): number {
    const at = this.check(pointer, 2)
    return this.#view.getUint16(at, true)
  }

  u32(pointer: number): number {
    const at = this.check(pointer, 4)
    return this.#view.getUint32(at, true)
  }

  u64(pointer: number): bigint {
    const at = this.check(pointer, 8)
    return this.#view.getBigUint64(at, true)
  }

  setU8(pointer: number, value: number): void {
    const at = this.check(pointer, 1)
    this.#view.setUint8(at, value)
  }

  setU16(pointer: number, value: number): void {
    const at = this.check(pointer, 2)
    this.#view.setUint16(at, value, true)
  }

  setU32(pointer: number, value: number): void {
    const at = this.check(pointer, 4)
    this.#view.setUint32(at, value, true)
  }

  setU64(pointer: number, value: bigint): void {
    const at = this.check(pointer, 8)
    this.#view.setBigUint64(at, value, true)
  }

  /**
   * Text of a guest, such as a path.
   *
   * @throws WasiFailure `FAULT`; `NAMETOOLONG` beyond `bytesMax`; `ILSEQ` if it is not UTF-8; `INVAL` if it contains a NUL
   */
  text(pointer: number, length: number, bytesMax: number): string {
    const bytes = this.range(pointer, length)
    if (bytes.byteLength > bytesMax) fail(ERRNO.NAMETOOLONG)
    const text = decodeText(bytes)
    if (text.includes('\0')) fail(ERRNO.INVAL)
    return text
  }

  /** Reads an array of `iovec` or `ciovec` and checks every piece. Throws `FAULT`; `INVAL` if they add up to 2^32 or more. */
  vectors(pointer: number, count: number): Vectors {
    this.check(pointer, Math.min((count >>> 0) * IOVEC_BYTES, 2 ** 32 - 1))
    const pieces: { pointer: number; bytes: number }[] = []
    let bytes = 0
    const end = Math.min(count >>> 0, VECTORS_MAX)
    for (let index = 0; index < end; index += 1) {
      const at = (pointer >>> 0) + index * IOVEC_BYTES
      const length = this.u32(at + 4)
      const start = this.check(this.u32(at), length)
      if (length === 0) continue
      pieces.push({ pointer: start, bytes: length })
      bytes += length
    }
    if (bytes >= 2 ** 32) fail(ERRNO.INVAL)
    return { pieces, bytes }
  }

  /** Copies at most `bytesMax` bytes out of the pieces into a buffer of the caller's own. */
  gather(vectors: Vectors, bytesMax: number): Uint8Array {
    const [first] = vectors.pieces
    if (first === undefined) return NO_BYTES
    if (vectors.pieces.length === 1) {
      return this.range(first.pointer, Math.min(first.bytes, bytesMax)).slice()
    }
    const all = new Uint8Array(Math.min(vectors.bytes, bytesMax))
    let used = 0
    for (const piece of vectors.pieces) {
      const bytes = Math.min(piece.bytes, all.byteLength - used)
      all.set(this.range(piece.pointer, bytes), used)
      used += bytes
    }
    return all
  }

  /** Copies `bytes` into the pieces, which have room for them. */
  scatter(vectors: Vectors, bytes: Uint8Array): void {
    let used = 0
    for (const piece of vectors.pieces) {
      if (used === bytes.byteLength) return
      const part = bytes.subarray(used, used + piece.bytes)
      this.range(piece.pointer, part.byteLength).set(part)
      used += part.byteLength
    }
  }

  #refresh(): void {
    const buffer = this.#memory?.buffer
    if (buffer === undefined || buffer === this.#bytes.buffer) return
    this.#bytes = new Uint8Array(buffer)
    this.#view = new DataView(buffer)
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    return fail(ERRNO.ILSEQ)
  }
}
