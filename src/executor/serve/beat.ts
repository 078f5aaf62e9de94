/**
 * How the main thread sees that a serving thread is stuck in a guest: a word of shared memory that the thread renews from
 * its event loop as long as it has requests in flight.
 */

const BEAT_MS = 20
/** Byte offsets. */
const BEAT = 0
const IN_FLIGHT = 8
const BYTES = 16

export class Beat {
  readonly memory: SharedArrayBuffer
  readonly #beat: BigInt64Array
  readonly #inFlight: Int32Array
  #timer: NodeJS.Timeout | undefined

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory
    this.#beat = new BigInt64Array(memory, BEAT, 1)
    this.#inFlight = new Int32Array(memory, IN_FLIGHT, 1)
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

  get inFlight(): number {
    return Atomics.load(this.#inFlight, 0)
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
    if (this.inFlight > 0) return this.#renew()
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #renew(): void {
    Atomics.store(this.#beat, 0, process.hrtime.bigint())
  }
}
