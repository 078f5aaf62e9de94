/** The body of an outgoing request, between the guest that writes it and whoever sends it: at most a few pieces are held. */

import { QuiverError } from '../../core/error.ts'
import { Failure } from '../component/function-codec.ts'
import type { RawHeaders } from '../http/exchange.ts'
import type { OutgoingPieces } from '../streaming.ts'

import type { BodySink } from './http-body.ts'
import { HttpBroken } from './http-errors.ts'

/** More than this is held only until it is sent: meanwhile the guest waits. */
const HELD_BYTES_MAX = 256 * 1024

export class RequestBody implements BodySink, OutgoingPieces {
  /** What the guest says of its length. */
  readonly #declared: number | null
  #held: Uint8Array[] = []
  #heldBytes = 0
  #written = 0
  #trailers: RawHeaders = []
  #phase: 'open' | 'finished' | 'abandoned' | 'closed' = 'open'
  /** The sender waits for a piece. */
  #wanted: PromiseWithResolvers<void> | undefined
  /** The guest waits for room. */
  #room: PromiseWithResolvers<void> | undefined

  constructor(headers: RawHeaders) {
    this.#declared = declaredLength(headers)
  }

  get length(): number | null {
    return this.#declared ?? (this.#phase === 'finished' ? this.#written : null)
  }

  /** Where a length was declared, nothing can follow the body. */
  get trailers(): RawHeaders {
    return this.#declared === null ? this.#trailers : []
  }

  write(bytes: Uint8Array): void | Promise<void> {
    if (this.#phase !== 'open') throw new HttpBroken({ tag: 'connection-terminated' })
    this.#written += bytes.length
    if (this.#declared !== null && this.#written > this.#declared) {
      throw new HttpBroken({ tag: 'HTTP-request-body-size', val: BigInt(this.#written) })
    }
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    this.#wanted?.resolve()
    if (this.#heldBytes <= HELD_BYTES_MAX) return undefined
    this.#room ??= Promise.withResolvers<void>()
    return this.#room.promise
  }

  finish(trailers: RawHeaders): void {
    if (this.#phase !== 'open') return
    if (this.#declared !== null && this.#declared !== this.#written) {
      this.abandon()
      throw new Failure({ tag: 'HTTP-request-body-size', val: BigInt(this.#written) })
    }
    this.#phase = 'finished'
    this.#trailers = trailers
    this.#wanted?.resolve()
  }

  abandon(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'abandoned'
    this.#wanted?.resolve()
  }

  async next(): Promise<Uint8Array | null> {
    while (this.#held.length === 0 && this.#phase === 'open') {
      this.#wanted = Promise.withResolvers<void>()
      await this.#wanted.promise
    }
    if (this.#phase === 'abandoned') {
      const message = 'the body of the request was not finished'
      throw new QuiverError('canceled', 'REQUEST_ABANDONED', message)
    }
    if (this.#phase === 'closed' || this.#held.length === 0) return null
    const piece = Buffer.concat(this.#held, this.#heldBytes)
    this.#release()
    return piece
  }

  /** The exchange is over. One that is complete stays so. */
  close(): void {
    if (this.#phase === 'open') this.#phase = 'closed'
    this.#release()
    this.#wanted?.resolve()
  }

  #release(): void {
    this.#held = []
    this.#heldBytes = 0
    this.#room?.resolve()
    this.#room = undefined
  }
}

function declaredLength(headers: RawHeaders): number | null {
  const at = headers.findIndex(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length',
  )
  const value = headers[at + 1] ?? ''
  return at >= 0 && /^\d{1,15}$/.test(value) ? Number(value) : null
}
