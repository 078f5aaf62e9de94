/**
 * What becomes of a task whose requests cost it thread after thread, with no answer in between: the next ones wait, longer each
 * time, as the start of a task that keeps crashing does. Neighbours would pay for trying sooner, and nobody would gain.
 */

/** By chance, or by a few bad requests among good ones. */
const FREE = 2
const FIRST_WAIT_MS = 1000
const WAIT_MS_MAX = 10_000

export class Strikes {
  #count: number
  readonly #untilMs: number

  /** @param count  threads in a row that were lost to a limit, this one's predecessor the last of them */
  constructor(count: number) {
    this.#count = count
    this.#untilMs = performance.now() + waitMs(count)
  }

  get count(): number {
    return this.#count
  }

  /** How long the next request is to wait. Milliseconds. */
  get delayMs(): number {
    return this.#count <= FREE ? 0 : this.#untilMs - performance.now()
  }

  /** A request was answered. */
  forget(): void {
    this.#count = 0
  }
}

/** After so many in a row. Milliseconds; 0: not at all. */
export function waitMs(count: number): number {
  if (count <= FREE) return 0
  return Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (count - FREE - 1))
}
