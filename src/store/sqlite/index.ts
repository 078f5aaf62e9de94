/**
 * State in one SQLite file, for one process: the default of a node.
 *
 * This side queues, the worker thread does the work. One group of requests is under way at a time; what is asked
 * meanwhile becomes the next group, so that all commits that wait for an fsync share the next one.
 */

import path from 'node:path'

import { steadyMs } from '../../core/clock.ts'
import { storeClosed, validateBatch, validateKey } from '../batch.ts'
import type { Change, Entry, Operation, Store } from '../store.ts'
import {
  CommitFeed,
  watchChanges,
  type ChangePage,
  type ChangeSource,
  type Snapshot,
} from '../watch.ts'

import { checkDatabase } from './check.ts'
import { unpackSnapshot } from './packed.ts'
import { DatabaseThread } from './thread.ts'

export { listSetAside } from './set-aside.ts'

export interface SqliteStoreOptions {
  /** Revisions whose changes can be watched afterwards. Default 4,096. */
  readonly historyRevisionsMax?: number
  /** For leases, which outlive the process: milliseconds since the epoch. Default `steadyMs`. */
  readonly now?: () => number
}

/**
 * Verifies the file in a process of its own, then opens it, or creates it with its folder (0600, 0700). Where nothing but
 * the values of some rows is damaged, these are set aside (`listSetAside`), and their keys are gone.
 *
 * The file is locked while the store is open. Do not open it by other means in this process: closing any other
 * descriptor of the file would release the lock (fcntl(2)).
 *
 * @param file  path of the database; files named `<file>-wal`, `<file>-acknowledged` and `<file>-damaged` belong to it
 * @throws QuiverError `data_loss/STATE_CORRUPT` (what was found, and what to do), `failed_precondition/STATE_LOCKED`,
 *   `failed_precondition/STATE_TOO_NEW`, `resource_exhausted/DISK_FULL`, `unavailable/STATE_UNAVAILABLE`
 */
export async function openSqliteStore(
  file: string,
  options: SqliteStoreOptions = {},
): Promise<Store> {
  const absolute = path.resolve(file)
  const thread = new DatabaseThread(absolute)
  try {
    const damaged = await checkDatabase(absolute)
    const historyRevisionsMax = options.historyRevisionsMax ?? 4096
    const revision = await thread.open({ path: absolute, historyRevisionsMax, damaged })
    return new SqliteStore(thread, revision, options.now ?? steadyMs)
  } catch (error) {
    await thread[Symbol.asyncDispose]()
    throw error
  }
}

class SqliteStore implements Store, ChangeSource {
  readonly commits: CommitFeed
  readonly #thread: DatabaseThread
  readonly #now: () => number

  constructor(thread: DatabaseThread, revision: number, now: () => number) {
    this.commits = new CommitFeed(revision)
    this.#thread = thread
    this.#now = now
    thread.onCommitted = ({ revision: committed, keys }) => this.commits.announce(committed, keys)
    thread.onEnded = (error) => this.commits.close(error)
  }

  async get(key: string): Promise<Entry | undefined> {
    validateKey(key)
    return this.#thread.ask('get', { kind: 'get', key })
  }

  async list(prefix: string): Promise<readonly Entry[]> {
    const { entries } = await this.snapshot(prefix)
    return entries
  }

  async commit(operations: readonly Operation[]): Promise<number> {
    validateBatch(operations)
    const copies = operations.map(copyOf)
    const { revision } = await this.#thread.ask('commit', { kind: 'commit', operations: copies })
    return revision
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Change> {
    return watchChanges(this, prefix, after, signal)
  }

  async snapshot(prefix: string): Promise<Snapshot> {
    return unpackSnapshot(await this.#thread.ask('list', { kind: 'list', prefix }))
  }

  async changes(prefix: string, after: number): Promise<ChangePage> {
    return this.#thread.ask('changes', { kind: 'changes', prefix, after })
  }

  async lease(name: string, owner: string, ttlMs: number): Promise<boolean> {
    validateKey(name)
    const nowMs = this.#now()
    return this.#thread.ask('lease', {
      kind: 'lease',
      name,
      owner,
      nowMs,
      expiresAtMs: nowMs + ttlMs,
    })
  }

  async release(name: string, owner: string): Promise<void> {
    await this.#thread.ask('release', { kind: 'release', name, owner })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.commits.close(storeClosed())
    await this.#thread[Symbol.asyncDispose]()
  }
}

/**
 * The caller may reuse its bytes at once; and a view of a pooled `Buffer` would be sent with its whole pool.
 */
function copyOf(operation: Operation): Operation {
  if (operation.kind !== 'put') return operation
  return { ...operation, value: new Uint8Array(operation.value) }
}
