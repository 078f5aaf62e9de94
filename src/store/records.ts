/**
 * Records of one kind in a store: JSON values under a common prefix, checked when they are read.
 * It adds types, not guarantees: durability, revisions and order are the store's.
 */

import { QuiverError } from '../core/error.ts'

import type { Change, Entry, Operation, Store } from './store.ts'

export interface StoredRecord<T> {
  /** The key without the table's prefix. */
  readonly id: string
  readonly value: T
  /** Give it to `put` or `delete` as `expected`, to change only what was read. */
  readonly revision: number
}

export type RecordChange<T> =
  | { readonly kind: 'put'; readonly record: StoredRecord<T> }
  | { readonly kind: 'delete'; readonly id: string; readonly revision: number }

export interface RecordTableOptions<T> {
  /** Such as `task/`: ends in `/`, and no other table's prefix begins with it. */
  readonly prefix: string
  /** Makes a `T` of what was stored, also by an earlier version; throws when it cannot. */
  readonly parse: (value: unknown) => T
}

/**
 * Every method throws what `Store` throws for it; those that read also
 * `data_loss/RECORD_INVALID`, naming the key, when `parse` refuses what is stored.
 */
export class RecordTable<T> {
  readonly #store: Store
  readonly #prefix: string
  readonly #parse: (value: unknown) => T

  constructor(store: Store, { prefix, parse }: RecordTableOptions<T>) {
    this.#store = store
    this.#prefix = prefix
    this.#parse = parse
  }

  async get(id: string): Promise<StoredRecord<T> | undefined> {
    const entry = await this.#store.get(this.#prefix + id)
    return entry && this.#recordOf(entry)
  }

  /** Records whose id begins with `idPrefix`, in byte order of their ids. */
  async list(idPrefix = ''): Promise<readonly StoredRecord<T>[]> {
    const entries = await this.#store.list(this.#prefix + idPrefix)
    return entries.map((entry) => this.#recordOf(entry))
  }

  /**
   * @param expected  the record's revision, 0 for "does not exist"; absent: whatever it is
   * @returns the revision of this commit
   */
  async put(id: string, value: T, expected?: number): Promise<number> {
    return this.#store.commit([this.putOperation(id, value, expected)])
  }

  async delete(id: string, expected?: number): Promise<number> {
    return this.#store.commit([this.deleteOperation(id, expected)])
  }

  /** For a batch with operations of other tables: `store.commit([...])`. */
  putOperation(id: string, value: T, expected?: number): Operation {
    const bytes = Buffer.from(JSON.stringify(value))
    return { kind: 'put', key: this.#prefix + id, value: bytes, ...expectation(expected) }
  }

  deleteOperation(id: string, expected?: number): Operation {
    return { kind: 'delete', key: this.#prefix + id, ...expectation(expected) }
  }

  /** The batch fails unless the record has this revision. */
  checkOperation(id: string, expected: number): Operation {
    return { kind: 'check', key: this.#prefix + id, expected }
  }

  /**
   * As `Store.watch`.
   *
   * @yields every change after `after`; for 0 first what exists
   */
  async *watch(
    after: number,
    signal: AbortSignal,
  ): AsyncGenerator<RecordChange<T>, void, undefined> {
    for await (const change of this.#store.watch(this.#prefix, after, signal)) {
      yield this.#changeOf(change)
    }
  }

  #changeOf(change: Change): RecordChange<T> {
    if (change.kind === 'put') return { kind: 'put', record: this.#recordOf(change.entry) }
    return { kind: 'delete', id: this.#idOf(change.key), revision: change.revision }
  }

  #recordOf({ key, value, revision }: Entry): StoredRecord<T> {
    try {
      const parsed = this.#parse(JSON.parse(Buffer.from(value).toString()))
      return { id: this.#idOf(key), value: parsed, revision }
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new QuiverError(
        'data_loss',
        'RECORD_INVALID',
        `"${key}" holds an unusable record: ${why}`,
        {
          hint: 'It was written by another version of Quiver, perhaps: start that one, or delete the record.',
          details: { key, revision },
          cause: thrown,
        },
      )
    }
  }

  #idOf(key: string): string {
    return key.slice(this.#prefix.length)
  }
}

function expectation(expected: number | undefined): { readonly expected?: number } {
  return expected === undefined ? {} : { expected }
}
