/** The body of a request as the stdin of a command, which can also be had as a whole. */

import type { RequestBody } from '../http/request-body.ts'
import type { ByteSource } from '../wasi.ts'

import { inputTooLarge } from './failure.ts'

export class CommandInput implements ByteSource {
  readonly #body: RequestBody
  #whole: Uint8Array | null = null
  #at = 0

  constructor(body: RequestBody) {
    this.#body = body
  }

  read(bytesMax: number): Uint8Array | null | Promise<Uint8Array | null> {
    if (this.#whole === null) return this.#body.read(bytesMax)
    if (this.#at === this.#whole.length) return null
    const piece = this.#whole.subarray(this.#at, this.#at + bytesMax)
    this.#at += piece.length
    return piece
  }

  /**
   * What was not read before, for somebody else; who reads stdin gets it as well.
   *
   * @throws LimitBreach `INPUT_TOO_LARGE`
   */
  async takeWhole(bytesMax: number): Promise<Uint8Array> {
    try {
      this.#whole ??= await this.#body.readAll(bytesMax)
    } catch (thrown) {
      throw thrown instanceof RangeError ? inputTooLarge(bytesMax) : thrown
    }
    return this.#whole
  }
}
