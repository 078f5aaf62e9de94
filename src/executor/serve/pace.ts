/**
 * Keeps a serving thread to its share of the processors (`limits.cpu`): a request that comes when the ones before it used too
 * much waits until they have not.
 */

/** What may be used at once after a time of rest, in milliseconds of the share. */
const BURST_MS = 100

export class Pace {
  /** Of one processor. */
  readonly #share: number
  #creditMs = 0
  #atMs = performance.now()
  #usedMs = usedMs()

  /** @param cpuMillis  thousandths of a processor */
  constructor(cpuMillis: number) {
    this.#share = cpuMillis / 1000
    this.#creditMs = BURST_MS * this.#share
  }

  /** How long the next request is to wait. Milliseconds. */
  get delayMs(): number {
    const nowMs = performance.now()
    const used = usedMs()
    const earned = (nowMs - this.#atMs) * this.#share
    this.#creditMs = Math.min(BURST_MS * this.#share, this.#creditMs + earned)
    this.#creditMs -= used - this.#usedMs
    this.#atMs = nowMs
    this.#usedMs = used
    return this.#creditMs >= 0 ? 0 : -this.#creditMs / this.#share
  }
}

/** Of this thread. */
function usedMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
