/**
 * How many instances the node may have at a time, whatever their tasks are. Decides about numbers alone: what runs and
 * what ends is the business of each task.
 */

import { QuiverError } from '../core/error.ts'

export class Admission {
  readonly #instancesMax: number
  readonly #refused = new Set<() => void>()
  #instances = 0

  constructor(instancesMax: number) {
    this.#instancesMax = instancesMax
  }

  /**
   * Takes a place; give it back with `leave` when the instance is gone.
   *
   * @throws QuiverError `resource_exhausted/INSTANCES_EXHAUSTED`
   */
  enter(): void {
    if (this.#instances >= this.#instancesMax) {
      throw new QuiverError(
        'resource_exhausted',
        'INSTANCES_EXHAUSTED',
        `this node has ${this.#instances} instances, and may have ${this.#instancesMax}`,
        {
          hint: 'Stop tasks, let idle ones end sooner with scale.stop_after, or raise limits.instances in node.toml.',
        },
      )
    }
    this.#instances++
  }

  /** For an instance that was found: it is there already, whatever the limit says now. */
  adopt(): void {
    this.#instances++
  }

  /** Those who were refused first try first, for as long as there is a place. */
  leave(): void {
    this.#instances--
    for (const retry of this.#refused) {
      if (this.#instances >= this.#instancesMax) return
      this.#refused.delete(retry)
      retry()
    }
  }

  /** Calls back once, when a place is free again; the same callback waits once. */
  whenFree(retry: () => void): void {
    this.#refused.add(retry)
  }

  forget(retry: () => void): void {
    this.#refused.delete(retry)
  }
}
