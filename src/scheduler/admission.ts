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

  leave(): void {
    this.#instances--
    const waiting = [...this.#refused]
    this.#refused.clear()
    for (const retry of waiting) retry()
  }

  /** Calls back once, when a place is free again. */
  whenFree(retry: () => void): void {
    this.#refused.add(retry)
  }
}
