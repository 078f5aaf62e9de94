/** What a component instance holds handles of: resources of the host, and of other components. */

import { QuiverError } from '../../core/error.ts'
import { trap } from '../trap.ts'

import type { ResourceType } from './types.ts'

/** As much as a guest needs, and little of ours. */
const HANDLES_MAX = 65_536

/** What a handle stands for: a number of the component that defines the resource, or an object of the host. */
export type Representation = number | object

interface Handle {
  readonly resource: ResourceType
  readonly representation: Representation
  readonly isOwn: boolean
}

/** Something of the host that is given back when the guest drops it, or ends. */
interface Droppable {
  drop(): void
}

export class Handles {
  /** No handle is 0. */
  readonly #slots: (Handle | undefined)[] = [undefined]
  readonly #free: number[] = []

  add(resource: ResourceType, representation: Representation, isOwn: boolean): number {
    const index = this.#free.pop() ?? this.#slots.length
    if (index >= HANDLES_MAX) refuse(`it holds more than ${HANDLES_MAX} handles`)
    this.#slots[index] = { resource, representation, isOwn }
    return index
  }

  /** Traps unless there is a handle of that resource. */
  get(index: number, resource: ResourceType): Representation {
    return this.#require(index, resource).representation
  }

  /** Takes out what the guest owns. */
  take(index: number, resource: ResourceType): Representation {
    const handle = this.#require(index, resource)
    if (!handle.isOwn) refuse(`it gives away handle ${index}, which is only lent`)
    this.#delete(index)
    return handle.representation
  }

  /** @returns undefined when it was only lent */
  drop(index: number, resource: ResourceType): Representation | undefined {
    const { isOwn, representation } = this.#require(index, resource)
    this.#delete(index)
    return isOwn ? representation : undefined
  }

  /** Ends a loan that the guest may have ended by itself. */
  forget(index: number): void {
    if (this.#slots[index]?.isOwn === false) this.#delete(index)
  }

  /** Gives back everything of the host. */
  close(): void {
    for (const handle of this.#slots) {
      if (handle?.isOwn === true && handle.resource.owner === null) drop(handle.representation)
    }
    this.#slots.length = 1
  }

  #require(index: number, resource: ResourceType): Handle {
    const handle = this.#slots[index]
    if (handle === undefined) return refuse(`it has no handle ${index}`)
    if (handle.resource === resource) return handle
    return refuse(`handle ${index} is of another resource than ${resource.name || 'is meant'}`)
  }

  #delete(index: number): void {
    this.#slots[index] = undefined
    this.#free.push(index)
  }
}

export function drop(representation: Representation): void {
  if (isDroppable(representation)) representation.drop()
}

function isDroppable(representation: Representation): representation is Droppable {
  return (
    typeof representation === 'object' &&
    'drop' in representation &&
    typeof representation.drop === 'function'
  )
}

/** Ends the guest: it broke the rules of the canonical ABI. */
export function refuse(problem: string): never {
  return trap(new QuiverError('unavailable', 'TRAPPED', `the component is at fault: ${problem}`))
}
