/**
 * Group commit: many requests, one SQLite transaction, one fsync. Each batch is judged by itself, in order, against
 * what the batches before it leave behind; one that fails its expectations is rejected alone.
 */

import type { QuiverError } from '../../core/error.ts'
import { findConflict } from '../batch.ts'
import type { Operation } from '../store.ts'

import type { StateDatabase } from './database.ts'
import { isWriteUncertain, sqliteError, stateCorrupt, stateUnavailable } from './errors.ts'
import {
  failed,
  ok,
  type Answer,
  type Committed,
  type LeaseRequest,
  type Outcome,
  type ReleaseRequest,
  type WriteRequest,
} from './protocol.ts'
import {
  headChecksum,
  leaseChecksum,
  parseLease,
  versionChecksum,
  type Head,
  type LeaseRow,
  type VersionRow,
} from './schema.ts'

const NOTHING = new Uint8Array()

/** Revisions by which the history may exceed its bound before it is cut: cutting costs little per commit this way. */
const COMPACT_REVISIONS = 256

export class TransactionLog {
  readonly #database: StateDatabase
  readonly #statements: Statements
  /** Set when it is not known what the disk holds; nothing is written any more. */
  #broken: QuiverError | undefined

  constructor(database: StateDatabase) {
    this.#database = database
    this.#statements = prepare(database)
  }

  /** Returns when everything that it says is durable. One outcome per request, in order. */
  write(requests: readonly WriteRequest[]): readonly Outcome<Answer>[] {
    if (this.#broken)
      return requests.map(() =>
        failed(stateUnavailable(this.#database.path, 'an earlier write failed')),
      )
    try {
      return this.#transact(requests)
    } catch (thrown) {
      const error = sqliteError(thrown, this.#database.path)
      this.#rollBack()
      if (isWriteUncertain(thrown)) this.#broken = error
      // One large batch on a full disk, or one damaged page, must not fail its neighbours.
      if (requests.length > 1) return requests.flatMap((request) => this.write([request]))
      return [failed(error)]
    }
  }

  #transact(requests: readonly WriteRequest[]): readonly Outcome<Answer>[] {
    const { connection } = this.#database
    connection.exec('BEGIN IMMEDIATE')
    const draft = new Draft(this.#database, this.#statements)
    const outcomes = requests.map((request) => draft.apply(request))
    if (!draft.isChanged) {
      connection.exec('ROLLBACK')
      return outcomes
    }
    draft.finish()
    connection.exec('COMMIT')
    this.#database.advance(draft.head, draft.keys)
    return outcomes
  }

  /** SQLite has rolled back by itself after some errors. */
  #rollBack(): void {
    const { connection } = this.#database
    if (connection.isTransaction) connection.exec('ROLLBACK')
  }
}

/** What the open transaction has changed so far; thrown away unless it commits. */
class Draft {
  head: Head
  isChanged = false
  /** Key → its new revision; 0: deleted. */
  readonly keys = new Map<string, number>()
  readonly #database: StateDatabase
  readonly #statements: Statements

  constructor(database: StateDatabase, statements: Statements) {
    this.#database = database
    this.#statements = statements
    this.head = database.head
  }

  apply(request: WriteRequest): Outcome<Answer> {
    if (request.kind === 'commit') return this.#commit(request.operations)
    return ok(request.kind === 'lease' ? this.#lease(request) : this.#release(request))
  }

  /** Cuts the history where it has grown too long, and records the head. */
  finish(): void {
    const { revision, compacted, entries } = this.head
    const horizon = revision - this.#database.historyRevisionsMax
    if (horizon >= compacted + COMPACT_REVISIONS) {
      for (const row of this.#statements.range.all(compacted, horizon)) {
        const isLive =
          row['isDeletion'] === 0 && this.#revisionOf(String(row['key'])) === row['revision']
        if (!isLive) this.#statements.remove.run(row['revision'] ?? null, row['key'] ?? null)
      }
      this.head = { revision, compacted: horizon, entries }
    }
    this.#statements.head.run(revision, this.head.compacted, entries, headChecksum(this.head))
  }

  #commit(operations: readonly Operation[]): Outcome<Committed> {
    const conflict = findConflict(operations, (key) => this.#revisionOf(key))
    if (conflict) return failed(conflict)
    const writes = operations.filter(
      ({ kind, key }) => kind === 'put' || (kind === 'delete' && this.#revisionOf(key) !== 0),
    )
    const keys = writes.map(({ key }) => key)
    if (writes.length === 0) return ok({ revision: this.head.revision, keys })

    const revision = this.head.revision + 1
    for (const write of writes) {
      const value = write.kind === 'put' ? write.value : NOTHING
      this.#write({
        revision,
        key: write.key,
        size: writes.length,
        isDeletion: write.kind === 'delete',
        value,
      })
    }
    this.head = { ...this.head, revision }
    return ok({ revision, keys })
  }

  #write(row: VersionRow): void {
    const { revision, key, size, isDeletion, value } = row
    const before = this.#revisionOf(key)
    // What is older than the history would never be removed any more.
    if (before !== 0 && before <= this.head.compacted) this.#statements.remove.run(before, key)
    this.#statements.insert.run(
      revision,
      key,
      size,
      isDeletion ? 1 : 0,
      versionChecksum(row),
      value,
    )
    this.keys.set(key, isDeletion ? 0 : revision)
    const entries = this.head.entries + (isDeletion ? 0 : 1) - (before === 0 ? 0 : 1)
    this.head = { ...this.head, entries }
    this.isChanged = true
  }

  #revisionOf(key: string): number {
    return this.keys.get(key) ?? this.#database.index.get(key) ?? 0
  }

  #lease({ name, owner, nowMs, expiresAtMs }: LeaseRequest): boolean {
    const held = this.#readLease(name)
    if (held && held.owner !== owner && held.expiresAtMs > nowMs) return false
    this.#statements.lease.run(
      name,
      owner,
      expiresAtMs,
      leaseChecksum({ name, owner, expiresAtMs }),
    )
    this.isChanged = true
    return true
  }

  #release({ name, owner }: ReleaseRequest): boolean {
    if (this.#readLease(name)?.owner !== owner) return false
    this.#statements.unlease.run(name)
    this.isChanged = true
    return true
  }

  #readLease(name: string): LeaseRow | undefined {
    const raw = this.#statements.holder.get(name)
    if (raw === undefined) return undefined
    const lease = parseLease(raw)
    if (lease) return lease
    throw stateCorrupt(this.#database.path, `the lease "${name}"`, 'its checksum is wrong')
  }
}

type Statements = ReturnType<typeof prepare>

function prepare({ connection }: StateDatabase) {
  return {
    insert: connection.prepare('INSERT INTO version VALUES (?, ?, ?, ?, ?, ?)'),
    remove: connection.prepare('DELETE FROM version WHERE revision = ? AND key = ?'),
    range: connection.prepare(
      'SELECT revision, key, isDeletion FROM version WHERE revision > ? AND revision <= ?',
    ),
    head: connection.prepare(
      'UPDATE head SET revision = ?, compacted = ?, entries = ?, checksum = ? WHERE id = 1',
    ),
    holder: connection.prepare('SELECT * FROM lease WHERE name = ?'),
    lease: connection.prepare('INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)'),
    unlease: connection.prepare('DELETE FROM lease WHERE name = ?'),
  }
}
