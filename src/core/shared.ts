/**
 * One object for the equal parts of many records: thousands of tasks have the same limits, each parsed by itself.
 *
 * For values that nobody changes, as everything in task.ts and link.ts is.
 */

/** Then it begins anew: what differs from record to record must not be kept here after its record is gone. */
const PARTS_MAX = 1024

export class SharedParts {
  readonly #parts = new Map<string, unknown>()

  /**
   * Returns a value equal to `part`: the one that was given first, where it is still known.
   *
   * @param part  what JSON can say
   */
  share<T>(part: T): T {
    const text = JSON.stringify(part)
    // Equal JSON is an equal value, and so one of this type.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const known = this.#parts.get(text) as T | undefined
    if (known !== undefined) return known
    if (this.#parts.size >= PARTS_MAX) this.#parts.clear()
    this.#parts.set(text, part)
    return part
  }
}
