/**
 * What the guests of one module may have together, and each of them, on the thread that serves it: memory that they hold while
 * they wait, and time that they compute.
 *
 * The engine keeps each guest below its maximum; this keeps the sum. One guest runs at a time, so that all together never have
 * more than the limit and what one of them takes in a turn. A guest that computes without a pause is not seen here: that is
 * the beat's work (serve/beat.ts).
 */

import type { ModuleLimits } from '../protocol.ts'
import { trap } from '../trap.ts'
import type { Turns } from '../turns.ts'

import { breach, type LimitBreach } from './failure.ts'

const MIB = 1024 * 1024
const NONE: readonly WebAssembly.Memory[] = []

type BudgetLimits = Pick<ModuleLimits, 'memoryBytes' | 'cpuTimeMs'>

/** What a share looks at. */
export interface Holder {
  /** Those that can be seen. */
  readonly memories: readonly WebAssembly.Memory[]
  /** Ends it: what it waits for fails. */
  stop(reason: LimitBreach): void
}

export class Budget {
  readonly #limits: BudgetLimits
  /** Of each guest, also those that nobody but the guest can see. */
  readonly memories: number
  readonly #shares = new Set<Share>()
  #heldBytes = 0
  /** `performance.now()` when whoever has the thread got it. */
  turnMs = 0

  constructor(limits: BudgetLimits, memories: number) {
    this.#limits = limits
    this.memories = memories
  }

  get memoryBytesMax(): number {
    return this.#limits.memoryBytes
  }

  get cpuTimeMs(): number {
    return this.#limits.cpuTimeMs
  }

  /** As of the last look, and what came since. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** For a guest that begins with so much memory. @throws LimitBreach `OUT_OF_MEMORY` when the others leave too little */
  open(initialBytes: number): Share {
    const { memoryBytes } = this.#limits
    // It is looked at closely only when it matters.
    if (this.#heldBytes + initialBytes > memoryBytes) this.review()
    if (this.#shares.size > 0 && this.#heldBytes + initialBytes > memoryBytes) {
      const held = `${this.#shares.size} requests in flight hold ${inMib(this.#heldBytes)}`
      throw breach(
        'OUT_OF_MEMORY',
        `${held} of ${inMib(memoryBytes)} of memory: there is none for another one`,
      )
    }
    const share = new Share(this, initialBytes)
    this.#shares.add(share)
    this.#heldBytes += initialBytes
    return share
  }

  close(share: Share): void {
    if (this.#shares.delete(share)) this.#heldBytes -= share.bytes
  }

  /** Looks at what guests hold now, and ends the largest ones until the others have room. To be called every so often. */
  review(): void {
    const { memoryBytes } = this.#limits
    this.#heldBytes = 0
    for (const share of this.#shares) this.#heldBytes += share.look()
    let total = this.#heldBytes
    if (total <= memoryBytes) return
    const largest = [...this.#shares].toSorted((a, b) => b.bytes - a.bytes)
    for (const share of largest) {
      if (total <= memoryBytes) return
      total -= share.bytes
      const what = `the requests in flight held more than ${inMib(memoryBytes)} of memory, and this one the most`
      share.stop(breach('OUT_OF_MEMORY', what))
    }
  }
}

/** Of one guest. */
export class Share implements Turns {
  readonly #budget: Budget
  #bytes: number
  #cpuMs = 0
  #holder: Holder | undefined

  constructor(budget: Budget, bytes: number) {
    this.#budget = budget
    this.#bytes = bytes
  }

  /** As of the last look. */
  get bytes(): number {
    return this.#bytes
  }

  get bytesMax(): number {
    return this.#budget.memoryBytesMax
  }

  hold(holder: Holder): void {
    this.#holder = holder
  }

  /** What cannot be seen counts as if it were full. */
  look(): number {
    const memories = this.#holder?.memories ?? NONE
    if (memories.length < this.#budget.memories) this.#bytes = this.#budget.memoryBytesMax
    else this.#bytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
    return this.#bytes
  }

  stop(reason: LimitBreach): void {
    this.#holder?.stop(reason)
  }

  enter(): void {
    this.#budget.turnMs = performance.now()
  }

  /** Ends a guest that has computed for too long in all. Where several go on at once, the turn before was another one's. */
  leave(): void {
    this.yield()
    const { cpuTimeMs } = this.#budget
    if (this.#cpuMs <= cpuTimeMs) return
    const reason = breach('CPU_TIME', `the guest computed for longer than ${cpuTimeMs} ms in all`)
    this.stop(reason)
    trap(reason)
  }

  /** The end of a turn that is not the guest's doing. */
  yield(): void {
    const nowMs = performance.now()
    this.#cpuMs += nowMs - this.#budget.turnMs
    this.#budget.turnMs = nowMs
  }

  close(): void {
    this.#budget.close(this)
  }
}

function inMib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
