/** What a state store brings to the conformance suite, and the few words the suite is written in. */

import type { Entry, Operation, Store } from '../../src/store/store.ts'

export interface StoreOptions {
  readonly historyRevisionsMax?: number
  readonly now?: () => number
}

export interface StoreFixture {
  /** An empty store, independent of all others; disposing it frees everything. */
  open(options?: StoreOptions): Promise<Store>
}

export function put(key: string, text: string, expected?: number): Operation {
  return { kind: 'put', key, value: Buffer.from(text), ...(expected !== undefined && { expected }) }
}

export function remove(key: string, expected?: number): Operation {
  return { kind: 'delete', key, ...(expected !== undefined && { expected }) }
}

export function textOf(entry: Entry | undefined): string {
  return entry ? Buffer.from(entry.value).toString() : ''
}

/** mulberry32: the same seed, the same numbers. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
