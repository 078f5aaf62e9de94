/** How many host calls a guest makes in a second. */

import { QuiverError } from '../core/error.ts'

const WINDOW_MS = 1000

export class CallRate {
  readonly #max: number
  #left: number
  #sinceMs = performance.now()

  /** @param max  calls in a second */
  constructor(max: number) {
    this.#max = max
    this.#left = max
  }

  /** Counts one. @returns why the guest has to end, if it made too many */
  count(): QuiverError | null {
    this.#left--
    return this.#left < 0 ? this.#beginWindow() : null
  }

  #beginWindow(): QuiverError | null {
    const nowMs = performance.now()
    if (nowMs - this.#sinceMs < WINDOW_MS) {
      const message = `the guest made more than ${this.#max} host calls in a second`
      return new QuiverError('resource_exhausted', 'HOST_CALLS', message, {
        hint: 'Read and write in larger pieces, or raise host_calls under [wasm].',
      })
    }
    this.#sinceMs = nowMs
    this.#left = this.#max - 1
    return null
  }
}
