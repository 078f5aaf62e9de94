/**
 * What guests write on its way out of a serving thread: together where it comes in small pieces, and so much in a second.
 * The rest is dropped, and counted where it is missing.
 */

import type { LogStream } from '../protocol.ts'

export type Deliver = (stream: LogStream, bytes: Uint8Array) => void

/** Enough for people; a flood of it costs neighbours nothing. */
const BYTES_PER_SECOND = 1024 * 1024
/** May come at once. */
const BURST_BYTES = 2 * 1024 * 1024
/** What a piece costs beside its bytes. */
const PIECE_BYTES = 64
const HELD_BYTES_MAX = 16 * 1024
/** Since the event loop came round: these go at once, so that a guest that never comes back is heard to the last. */
const DIRECT_PIECES = 16

export class LogFlow {
  readonly #deliver: Deliver
  #credit = BURST_BYTES
  #creditAtMs = performance.now()
  #droppedBytes = 0
  #held: Uint8Array[] = []
  #heldBytes = 0
  #heldStream: LogStream = 'stderr'
  #direct = DIRECT_PIECES
  #isTurnAwaited = false

  constructor(deliver: Deliver) {
    this.#deliver = deliver
  }

  /** Takes over `bytes`. */
  write(stream: LogStream, bytes: Uint8Array): void {
    if (!this.#charge(bytes.length)) {
      this.#droppedBytes += bytes.length
      return
    }
    if (this.#droppedBytes > 0) this.#tellDropped()
    this.#awaitTurn()
    if (stream !== this.#heldStream) this.#flush()
    if (this.#direct > 0 && this.#heldBytes === 0) {
      this.#direct--
      this.#deliver(stream, bytes)
      return
    }
    this.#heldStream = stream
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes >= HELD_BYTES_MAX) this.#flush()
  }

  /** To be called when some time has gone by. */
  settle(): void {
    if (this.#droppedBytes > 0 && this.#charge(PIECE_BYTES)) this.#tellDropped()
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return
    this.#isTurnAwaited = true
    setImmediate(() => {
      this.#isTurnAwaited = false
      this.#direct = DIRECT_PIECES
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#heldBytes === 0) return
    const all = Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    this.#deliver(this.#heldStream, all)
  }

  #charge(bytes: number): boolean {
    const cost = bytes + PIECE_BYTES
    if (this.#credit < cost) this.#refill()
    if (this.#credit < cost) return false
    this.#credit -= cost
    return true
  }

  #refill(): void {
    const nowMs = performance.now()
    const earned = ((nowMs - this.#creditAtMs) / 1000) * BYTES_PER_SECOND
    this.#credit = Math.min(BURST_BYTES, this.#credit + earned)
    this.#creditAtMs = nowMs
  }

  #tellDropped(): void {
    const said = `${this.#droppedBytes} bytes of its log were dropped: it wrote too much in a second\n`
    this.#droppedBytes = 0
    this.#flush()
    this.#deliver('quiver', Buffer.from(said))
  }
}
