/** Lets callers wait until something holds that changes with every call of `notify`. */

export class Changes {
  readonly #observers = new Set<() => void>()

  notify(): void {
    for (const observer of this.#observers) observer()
  }

  /** Resolves when `isDone` holds, looked at after every change. Rejects with the signal's reason. */
  async until(isDone: () => boolean, signal: AbortSignal): Promise<void> {
    while (!isDone()) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = () => resolve()
      this.#observers.add(look)
      signal.addEventListener('abort', look, { once: true })
      await promise
      this.#observers.delete(look)
      signal.removeEventListener('abort', look)
    }
  }
}
