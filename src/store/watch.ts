/**
 * Watching, the same for every store: pages of changes are read behind a cursor, and a watcher that has read all
 * waits for the next commit. Nothing is buffered per watcher, so a slow one costs no memory and has no gaps; if it
 * falls behind what the store keeps, it is told so.
 */

import { storeClosed } from './batch.ts'
import type { Change, Entry } from './store.ts'

export interface ChangeSource {
  readonly commits: CommitFeed

  /** Entries below `prefix`, in any order, and the newest revision when they were read. */
  snapshot(prefix: string): Promise<Snapshot>

  /**
   * The next changes after `after`, in order, never a part of a revision.
   *
   * @throws QuiverError `failed_precondition/REVISION_COMPACTED`, `invalid_argument/REVISION_UNKNOWN`
   */
  changes(prefix: string, after: number): Promise<ChangePage>
}

export interface Snapshot {
  readonly entries: readonly Entry[]
  readonly revision: number
}

export interface ChangePage {
  readonly changes: readonly Change[]
  /** Everything up to this revision has been looked at. */
  readonly through: number
}

/**
 * Implements `Store.watch` for a source.
 *
 * @yields every change after `after`; for 0 first what exists
 */
export async function* watchChanges(
  source: ChangeSource,
  prefix: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Change, void, undefined> {
  let cursor = after
  if (cursor === 0 && !signal.aborted) {
    const { entries, revision } = await source.snapshot(prefix)
    for (const entry of entries.toSorted((a, b) => a.revision - b.revision)) {
      if (signal.aborted) return
      yield { kind: 'put', entry }
    }
    cursor = revision
  }
  while (!signal.aborted) {
    const page = await source.changes(prefix, cursor)
    for (const change of page.changes) {
      if (signal.aborted) return
      yield change
    }
    cursor = await source.commits.next(prefix, page.through, signal)
  }
}

interface Waiter {
  readonly prefix: string
  /** Everything up to here is known not to concern the waiter. */
  cursor: number
  readonly resolve: (cursor: number) => void
  readonly reject: (error: Error) => void
}

/** Tells waiting watchers that something was committed; holds no data. */
export class CommitFeed {
  readonly #waiters = new Set<Waiter>()
  #revision: number
  #isClosed = false

  constructor(revision: number) {
    this.#revision = revision
  }

  /** The newest revision announced. */
  get revision(): number {
    return this.#revision
  }

  /** Called once per commit, in order of revision, when it is durable. */
  announce(revision: number, keys: readonly string[]): void {
    this.#revision = revision
    for (const waiter of this.#waiters) {
      if (keys.some((key) => key.startsWith(waiter.prefix))) {
        this.#waiters.delete(waiter)
        waiter.resolve(waiter.cursor)
      } else {
        waiter.cursor = revision
      }
    }
  }

  /**
   * Resolves when there may be something to read after `cursor`, with the revision to read on from; at once
   * when more than `cursor` has been announced; also when `signal` aborts.
   */
  async next(prefix: string, cursor: number, signal: AbortSignal): Promise<number> {
    if (this.#isClosed) throw storeClosed()
    if (signal.aborted || cursor < this.#revision) return cursor
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const waiter: Waiter = { prefix, cursor, resolve, reject }
    const abort = (): void => {
      this.#waiters.delete(waiter)
      resolve(waiter.cursor)
    }
    this.#waiters.add(waiter)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Ends every wait with `error`, now and later. */
  close(error: Error): void {
    this.#isClosed = true
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#waiters.clear()
  }
}
