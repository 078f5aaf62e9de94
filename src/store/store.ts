/**
 * Where state lives: a small ordered key-value store with revisions.
 *
 * Keys are `/`-separated ASCII (`task/hello`), at most 512 bytes; values are bytes, at most 1 MiB.
 * Every committed batch has a store revision, 1, 2, 3 … without gaps; each key remembers the one that wrote it.
 * A promise that resolves means fsynced. Every implementation passes `tests/conformance/store.ts`.
 *
 * After disposal everything throws `canceled/STATE_CLOSED`; what was asked for before is finished first.
 */

export interface Store extends AsyncDisposable {
  /** @throws QuiverError `data_loss/STATE_CORRUPT` naming the key when its checksum is wrong */
  get(key: string): Promise<Entry | undefined>

  /** Entries whose key begins with `prefix`, in byte order of their keys. */
  list(prefix: string): Promise<readonly Entry[]>

  /**
   * Applies all operations or none, as one revision. Expectations are about what was before the batch.
   *
   * @returns the revision of this commit; the newest one when it changed nothing (checks, deletions of what does
   *   not exist), which makes no revision
   * @throws QuiverError `invalid_argument/KEY_INVALID`, `KEY_TOO_LONG`, `VALUE_TOO_LARGE`, `BATCH_TOO_LARGE` (1,024
   *   operations, 16 MiB), `BATCH_INVALID` (nothing to do, or two writes of one key)
   * @throws QuiverError `resource_exhausted/DISK_FULL`; nothing was written
   * @throws QuiverError `failed_precondition/REVISION_CONFLICT` naming the first key whose
   *   `expected` did not hold; nothing was written
   */
  commit(operations: readonly Operation[]): Promise<number>

  /**
   * Changes after `after`, in order, without gaps, first those already committed, then live ones until
   * `signal` aborts (then it ends, without an error). Deletions are reported too.
   *
   * @param after  a revision seen before; 0 for everything that exists
   * @throws QuiverError `failed_precondition/REVISION_COMPACTED` when `after` is older than what is kept, also in
   *   the middle for a watcher that has fallen behind; `invalid_argument/REVISION_UNKNOWN` when it lies in the future
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Change>

  /**
   * Takes the lease `name` for `ttlMs`, or extends it when `owner` holds it already.
   *
   * @returns false when somebody else holds it
   */
  lease(name: string, owner: string, ttlMs: number): Promise<boolean>

  /** Gives the lease up if `owner` holds it. */
  release(name: string, owner: string): Promise<void>
}

export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  /** The store revision that wrote it. */
  readonly revision: number
}

export type Operation =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: Uint8Array
      /** The key's revision now, 0 for "does not exist"; absent: whatever it is. */
      readonly expected?: number
    }
  | { readonly kind: 'delete'; readonly key: string; readonly expected?: number }
  /** Writes nothing; the batch fails unless the key has this revision. */
  | { readonly kind: 'check'; readonly key: string; readonly expected: number }

export type Change =
  | { readonly kind: 'put'; readonly entry: Entry }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number }
