/** Bounded concurrency: the same work for every item, a few at a time. */

/**
 * Stops taking items at the first failure, waits for those under way, then rejects with that failure.
 *
 * @param width  how many at a time, ≥ 1
 */
export async function each<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  let failure: { readonly thrown: unknown } | undefined
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && !failure; next = iterator.next()) {
      try {
        await work(next.value)
      } catch (thrown) {
        failure ??= { thrown }
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  if (failure) throw failure.thrown
}
