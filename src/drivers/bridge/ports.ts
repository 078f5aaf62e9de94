/**
 * Who has an address, and who waits for it: a task that may have one instance keeps its address while that is replaced. The
 * successor starts beside its predecessor, and is connected when that has gone. Pure.
 */

export class Ports {
  /** By address: the one who is connected first, then those who wait, in the order in which they came. */
  readonly #queues = new Map<string, string[]>()

  get isEmpty(): boolean {
    return this.#queues.size === 0
  }

  /** @returns whether it has the address now */
  enter(address: string, id: string): boolean {
    const queue = this.#queues.get(address) ?? []
    this.#queues.set(address, queue)
    queue.push(id)
    return queue[0] === id
  }

  has(address: string, id: string): boolean {
    return this.#queues.get(address)?.[0] === id
  }

  /** @returns who has the address from now on, if it was another's before */
  leave(address: string, id: string): string | undefined {
    const queue = this.#queues.get(address) ?? []
    const before = queue[0]
    const left = queue.filter((other) => other !== id)
    if (left.length === 0) this.#queues.delete(address)
    else this.#queues.set(address, left)
    return before === id ? left[0] : undefined
  }
}
