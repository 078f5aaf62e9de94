/**
 * Look-ups of names, shared out among tasks. The system looks up only so many at a time, and one whose name server never
 * answers keeps its place long after whoever asked has given up. So a task has a few places, and waits for its own ones.
 */

import type { Resolver } from './resolve.ts'

/** A quarter of the places that the egress process has (`LOOKUP_THREADS` of src/daemon/up.ts). */
const RUNNING_MAX = 4

interface Turn {
  running: number
  /** Oldest first. */
  readonly waiting: Set<() => void>
}

export class Lookups {
  readonly #resolver: Resolver
  /** Tasks with look-ups under way. */
  readonly #turns = new Map<string, Turn>()

  constructor(resolver: Resolver) {
    this.#resolver = resolver
  }

  /**
   * @param signal  ends the waiting, with its reason; a look-up that has begun goes on, since it cannot be stopped
   * @throws        what the resolver throws
   */
  async resolve(task: string, name: string, signal: AbortSignal): Promise<readonly string[]> {
    const turn = this.#turns.get(task) ?? { running: 0, waiting: new Set() }
    this.#turns.set(task, turn)
    await takePlace(turn, signal)
    try {
      return await this.#resolver(name)
    } finally {
      this.#leavePlace(task, turn)
    }
  }

  #leavePlace(task: string, turn: Turn): void {
    const [next] = turn.waiting
    if (next !== undefined) {
      turn.waiting.delete(next)
      next()
      return
    }
    turn.running--
    if (turn.running === 0) this.#turns.delete(task)
  }
}

async function takePlace(turn: Turn, signal: AbortSignal): Promise<void> {
  if (turn.running < RUNNING_MAX) {
    turn.running++
    return
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => {
    // Who was called in the meantime has a place, and has to leave it.
    if (turn.waiting.delete(resolve)) reject(signal.reason)
  }
  turn.waiting.add(resolve)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
