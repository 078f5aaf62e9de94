/**
 * Requests of a serving thread that have no answer yet, where the main thread sees them: when it has to end a thread that is
 * stuck in a guest, it writes the answers itself, to the sockets that the thread cannot use any more.
 *
 * A word of shared memory for each: the descriptor of its connection, until somebody begins to answer. Whoever takes it out
 * answers, and nobody else does.
 */

import { writeSync } from 'node:fs'

/** Requests at the same time; what is beyond has its connection closed. */
const SLOTS = 1024
const FREE = 0
const WORD_BYTES = 4

export class PendingAnswers {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #free: number[] = []
  #used = 0

  constructor(memory = new SharedArrayBuffer(SLOTS * WORD_BYTES)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  /** In the thread. @returns the place; undefined when all are taken or there is no descriptor */
  open(descriptor: number, isHead: boolean): number | undefined {
    if (descriptor < 0) return undefined
    const place = this.#free.pop() ?? (this.#used < SLOTS ? this.#used++ : undefined)
    if (place !== undefined) Atomics.store(this.#words, place, encode(descriptor, isHead))
    return place
  }

  /** In the thread: the answer begins, or nobody is there for one. @returns false: the main thread has answered */
  take(place: number): boolean {
    const isMine = Atomics.exchange(this.#words, place, FREE) !== FREE
    this.#free.push(place)
    return isMine
  }

  /** In the main thread, which then ends the other. @param format  the whole answer */
  answerAll(format: (isHead: boolean) => string): void {
    for (let place = 0; place < SLOTS; place++) {
      const word = Atomics.exchange(this.#words, place, FREE)
      if (word === FREE) continue
      try {
        writeSync((word >> 1) - 1, format((word & 1) === 1))
      } catch {
        // Whoever asked is gone, or reads nothing.
      }
    }
  }
}

function encode(descriptor: number, isHead: boolean): number {
  return ((descriptor + 1) << 1) | (isHead ? 1 : 0)
}
