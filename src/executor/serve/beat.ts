/**
 * What the main thread sees of a serving thread without asking it: whether it is stuck in a guest, by a word of shared memory
 * that the thread renews from its event loop as long as it has requests in flight; what it has in flight; how many threads were
 * lost before it; and who it is.
 */

import { readlinkSync } from 'node:fs'

const BEAT_MS = 20
/** Byte offsets. */
const BEAT = 0
const HELD = 8
const IN_FLIGHT = 16
const THREAD = 20
const STRIKES = 24
const BYTES = 32

export class Beat {
  readonly memory: SharedArrayBuffer
  readonly #beat: BigInt64Array
  readonly #held: Float64Array
  readonly #inFlight: Int32Array
  readonly #thread: Int32Array
  readonly #strikes: Int32Array
  #timer: NodeJS.Timeout | undefined
  #onBeat: (() => void) | undefined

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory
    this.#beat = new BigInt64Array(memory, BEAT, 1)
    this.#held = new Float64Array(memory, HELD, 1)
    this.#inFlight = new Int32Array(memory, IN_FLIGHT, 1)
    this.#thread = new Int32Array(memory, THREAD, 1)
    this.#strikes = new Int32Array(memory, STRIKES, 1)
  }

  /** In the thread, once. @param onBeat  called with each beat, while there are requests in flight and once more after them */
  begin(onBeat: () => void): void {
    this.#onBeat = onBeat
    Atomics.store(this.#thread, 0, ownThreadId())
  }

  /** In the thread: a request is being answered. */
  enter(): void {
    if (Atomics.add(this.#inFlight, 0, 1) > 0) return
    this.#renew()
    this.#timer ??= setInterval(this.#tick, BEAT_MS).unref()
  }

  /** In the thread: it is answered. */
  leave(): void {
    Atomics.sub(this.#inFlight, 0, 1)
  }

  /** In the thread: memory that its guests have. */
  set heldBytes(bytes: number) {
    this.#held[0] = bytes
  }

  get heldBytes(): number {
    return this.#held[0] ?? 0
  }

  /** In the thread: those before it that were lost to a limit, with no answer in between. */
  set strikes(count: number) {
    Atomics.store(this.#strikes, 0, count)
  }

  get strikes(): number {
    return Atomics.load(this.#strikes, 0)
  }

  get inFlight(): number {
    return Atomics.load(this.#inFlight, 0)
  }

  /** As the kernel numbers threads; 0: not known. */
  get threadId(): number {
    return Atomics.load(this.#thread, 0)
  }

  /** In the main thread: milliseconds since the thread last came back to its event loop; 0 while it has nothing to do. */
  get stuckMs(): number {
    if (this.inFlight === 0) return 0
    const sinceNs = process.hrtime.bigint() - Atomics.load(this.#beat, 0)
    // It went idle and busy again meanwhile, or has not been seen yet.
    return Math.max(0, Number(sinceNs) / 1e6)
  }

  /** A thread that goes idle lets its timer run out at the next tick: most are busy again before. */
  readonly #tick = (): void => {
    this.#onBeat?.()
    if (this.inFlight > 0) return this.#renew()
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #renew(): void {
    Atomics.store(this.#beat, 0, process.hrtime.bigint())
  }
}

function ownThreadId(): number {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1))
  } catch {
    return 0
  }
}
