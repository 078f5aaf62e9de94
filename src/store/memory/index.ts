/** A store that lives and dies with the process: for tests and dry runs. Same behaviour as a durable one, no disk. */

import { steadyMs } from '../../core/clock.ts'
import {
  findConflict,
  revisionCompacted,
  revisionUnknown,
  storeClosed,
  validateBatch,
  validateKey,
} from '../batch.ts'
import type { Change, Entry, Operation, Store } from '../store.ts'
import {
  CommitFeed,
  watchChanges,
  type ChangePage,
  type ChangeSource,
  type Snapshot,
} from '../watch.ts'

export interface MemoryStoreOptions {
  /** Revisions whose changes can be watched afterwards. Default 4,096. */
  readonly historyRevisionsMax?: number
  /** Wall clock for leases, in milliseconds. */
  readonly now?: () => number
}

export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options)
}

interface Lease {
  readonly owner: string
  readonly expiresAtMs: number
}

class MemoryStore implements Store, ChangeSource {
  readonly commits = new CommitFeed(0)
  readonly #entries = new Map<string, Entry>()
  readonly #leases = new Map<string, Lease>()
  readonly #historyRevisionsMax: number
  readonly #now: () => number
  /** Changes of the revisions after `#compacted`, in order. */
  #history: Change[] = []
  #compacted = 0
  #revision = 0
  #isClosed = false

  constructor(options: MemoryStoreOptions) {
    this.#historyRevisionsMax = options.historyRevisionsMax ?? 4096
    this.#now = options.now ?? steadyMs
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#assertOpen()
    validateKey(key)
    const entry = this.#entries.get(key)
    return entry && copyOf(entry)
  }

  async list(prefix: string): Promise<readonly Entry[]> {
    const { entries } = await this.snapshot(prefix)
    return entries.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  }

  async commit(operations: readonly Operation[]): Promise<number> {
    this.#assertOpen()
    validateBatch(operations)
    const conflict = findConflict(operations, (key) => this.#entries.get(key)?.revision ?? 0)
    if (conflict) throw conflict

    const revision = this.#revision + 1
    const changes = operations.flatMap((operation) => this.#apply(operation, revision))
    if (changes.length === 0) return this.#revision
    this.#revision = revision
    this.#history.push(...changes)
    this.#compact()
    this.commits.announce(revision, changes.map(keyOf))
    return revision
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Change> {
    return watchChanges(this, prefix, after, signal)
  }

  async snapshot(prefix: string): Promise<Snapshot> {
    this.#assertOpen()
    const entries = [...this.#entries.values()].filter((entry) => entry.key.startsWith(prefix))
    return { entries: entries.map(copyOf), revision: this.#revision }
  }

  async changes(prefix: string, after: number): Promise<ChangePage> {
    this.#assertOpen()
    if (after < this.#compacted) throw revisionCompacted(after, this.#compacted)
    if (after > this.#revision) throw revisionUnknown(after, this.#revision)
    const changes = this.#history
      .filter((change) => revisionOf(change) > after && keyOf(change).startsWith(prefix))
      .map((change): Change =>
        change.kind === 'put' ? { kind: 'put', entry: copyOf(change.entry) } : change,
      )
    return { changes, through: this.#revision }
  }

  async lease(name: string, owner: string, ttlMs: number): Promise<boolean> {
    this.#assertOpen()
    validateKey(name)
    const nowMs = this.#now()
    const held = this.#leases.get(name)
    if (held && held.owner !== owner && held.expiresAtMs > nowMs) return false
    this.#leases.set(name, { owner, expiresAtMs: nowMs + ttlMs })
    return true
  }

  async release(name: string, owner: string): Promise<void> {
    this.#assertOpen()
    if (this.#leases.get(name)?.owner === owner) this.#leases.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.commits.close(storeClosed())
  }

  #apply(operation: Operation, revision: number): readonly Change[] {
    const { kind, key } = operation
    if (kind === 'check') return []
    if (kind === 'delete') return this.#entries.delete(key) ? [{ kind, key, revision }] : []
    const entry = { key, value: new Uint8Array(operation.value), revision }
    this.#entries.set(key, entry)
    return [{ kind, entry }]
  }

  #compact(): void {
    this.#compacted = Math.max(this.#compacted, this.#revision - this.#historyRevisionsMax)
    const compacted = this.#compacted
    const [oldest] = this.#history
    if (oldest === undefined || revisionOf(oldest) > compacted) return
    this.#history = this.#history.filter((change) => revisionOf(change) > compacted)
  }

  #assertOpen(): void {
    if (this.#isClosed) throw storeClosed()
  }
}

/** Callers may do what they like with the bytes they are given. */
function copyOf(entry: Entry): Entry {
  return { ...entry, value: new Uint8Array(entry.value) }
}

function keyOf(change: Change): string {
  return change.kind === 'put' ? change.entry.key : change.key
}

function revisionOf(change: Change): number {
  return change.kind === 'put' ? change.entry.revision : change.revision
}
