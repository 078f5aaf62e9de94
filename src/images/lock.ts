/** A lock of this process: many at once share it, or one has it alone. First come, first served. */

import { assert } from '../core/assert.ts'

interface Waiting {
  readonly isAlone: boolean
  readonly resolve: () => void
}

export class SharedLock {
  /** How many share it; -1: one has it alone. */
  #holders = 0
  readonly #queue: Waiting[] = []

  /** Runs `work` together with other shared holders. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#hold(false, work)
  }

  /** Runs `work` while nobody else holds the lock. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#hold(true, work)
  }

  async #hold<T>(isAlone: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#queue.length > 0 || !this.#isFree(isAlone)) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#queue.push({ isAlone, resolve })
      await promise
    } else this.#take(isAlone)
    try {
      return await work()
    } finally {
      this.#holders = isAlone ? 0 : this.#holders - 1
      this.#admit()
    }
  }

  #isFree(isAlone: boolean): boolean {
    return isAlone ? this.#holders === 0 : this.#holders >= 0
  }

  #take(isAlone: boolean): void {
    assert(this.#isFree(isAlone), 'a lock is taken only when it is free')
    this.#holders = isAlone ? -1 : this.#holders + 1
  }

  /** Takes the lock for those whose turn it is, before they run: nobody can slip in between. */
  #admit(): void {
    for (let next = this.#queue[0]; next && this.#isFree(next.isAlone); next = this.#queue[0]) {
      this.#queue.shift()
      this.#take(next.isAlone)
      next.resolve()
    }
  }
}
