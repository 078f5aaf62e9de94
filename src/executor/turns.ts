/** When a guest has the thread and when it has not: each of its waits is told, so that somebody can count. */

export interface Turns {
  /** The guest called and waits. @throws whatever ends it */
  leave(): void
  /** It goes on. */
  enter(): void
}

/** A host function that may wait, as one that tells. */
export function tellingTurns<A extends readonly unknown[], R>(
  turns: Turns,
  call: (...args: A) => R | Promise<R>,
): (...args: A) => R | Promise<R> {
  return (...args) => {
    turns.leave()
    const result = call(...args)
    if (!(result instanceof Promise)) {
      turns.enter()
      return result
    }
    return result.finally(() => turns.enter())
  }
}
