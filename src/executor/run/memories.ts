/** Memories for the instances of one module: used one after the other, and cleared in between. */

import type { MemorySize } from '../module.ts'

const PAGE_BYTES = 65_536
const KEPT_BYTES_MAX = 16 * 1024 * 1024

export class Memories {
  readonly #size: MemorySize
  readonly #free: WebAssembly.Memory[] = []
  readonly #bytes: number
  readonly #keptBytesMax: number

  /** @param keptBytesMax  kept at the same time: more are in use only while guests wait */
  constructor(size: MemorySize, keptBytesMax = KEPT_BYTES_MAX) {
    this.#size = size
    this.#keptBytesMax = keptBytesMax
    this.#bytes = size.initial * PAGE_BYTES
  }

  /** All zero, and of the initial size. */
  take(): WebAssembly.Memory {
    return this.#free.pop() ?? new WebAssembly.Memory(this.#size)
  }

  /** Of a guest that has ended: no code of it may run any more. */
  give(memory: WebAssembly.Memory): void {
    const { buffer } = memory
    // One that grew cannot shrink.
    if (buffer.byteLength !== this.#bytes) return
    if ((this.#free.length + 1) * this.#bytes > this.#keptBytesMax) return
    new Uint8Array(buffer).fill(0)
    this.#free.push(memory)
  }
}
