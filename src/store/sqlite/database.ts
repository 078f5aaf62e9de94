/**
 * The store's reads and its life on one SQLite connection. Synchronous: it lives in the worker thread. Writing is in
 * transaction.ts, damage that can be found beforehand in verify.ts.
 */

import { closeSync, constants, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import path from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'

import { revisionCompacted, revisionUnknown } from '../batch.ts'
import type { Change, Entry } from '../store.ts'
import type { ChangePage, Snapshot } from '../watch.ts'

import { AcknowledgedFile } from './acknowledged.ts'
import { keyCorrupt, sqliteError, stateCorrupt } from './errors.ts'
import type { OpenOptions } from './protocol.ts'
import {
  connect,
  createSchema,
  isBlank,
  parseVersion,
  readHead,
  type Head,
  type VersionRow,
} from './schema.ts'
import { setAside } from './set-aside.ts'

const PAGE_CHANGES_MAX = 512
const PAGE_BYTES_MAX = 4 * 1024 * 1024

/** Pages of the write-ahead log after which it is copied into the database: 4 MiB. */
const CHECKPOINT_PAGES = 1024

export class StateDatabase implements Disposable {
  readonly path: string
  readonly historyRevisionsMax: number
  readonly connection: DatabaseSync
  readonly acknowledged: AcknowledgedFile
  /** Key → the revision that wrote it: everything that exists. */
  readonly index = new Map<string, number>()
  #head: Head
  readonly #selectOne: StatementSync
  readonly #selectAfter: StatementSync

  /**
   * Opens or creates the database.
   *
   * @throws QuiverError `data_loss/STATE_CORRUPT`, `failed_precondition/STATE_LOCKED`, `resource_exhausted/DISK_FULL`,
   *   `unavailable/STATE_UNAVAILABLE`
   */
  static open(options: OpenOptions): StateDatabase {
    let connection: DatabaseSync | undefined
    try {
      createFile(options.path)
      connection = connect(options.path)
      connection.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0',
      )
      // Takes the lock for good, so that two who open a blank file do not both create it.
      connection.exec('BEGIN IMMEDIATE; COMMIT')
      if (isBlank(connection)) {
        createSchema(connection)
        syncFolder(path.dirname(options.path))
      }
      if (options.damaged.length > 0) setAside(connection, options.path, options.damaged)
      return new StateDatabase(options, connection)
    } catch (thrown) {
      connection?.close()
      throw sqliteError(thrown, options.path, 'the file')
    }
  }

  private constructor(options: OpenOptions, connection: DatabaseSync) {
    this.path = options.path
    this.historyRevisionsMax = options.historyRevisionsMax
    this.connection = connection
    const head = readHead(connection)
    if (head === undefined) throw stateCorrupt(this.path, 'the head', 'its checksum is wrong')
    this.#head = head
    this.#selectOne = connection.prepare('SELECT * FROM version WHERE revision = ? AND key = ?')
    this.#selectAfter = connection.prepare(
      'SELECT * FROM version WHERE revision > ? AND revision <= ? ORDER BY revision, key',
    )
    this.#buildIndex()
    this.acknowledged = new AcknowledgedFile(this.path, head.revision)
  }

  get head(): Head {
    return this.#head
  }

  get(key: string): Entry | undefined {
    const revision = this.index.get(key)
    return revision === undefined ? undefined : this.#read(key, revision)
  }

  /** Entries in byte order of their keys. */
  list(prefix: string): Snapshot {
    const entries: Entry[] = []
    const keys = [...this.index.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys.toSorted()) {
      const entry = this.get(key)
      if (entry) entries.push(entry)
    }
    return { entries, revision: this.#head.revision }
  }

  changes(prefix: string, after: number): ChangePage {
    const { revision: newest, compacted } = this.#head
    if (after < compacted) throw revisionCompacted(after, compacted)
    if (after > newest) throw revisionUnknown(after, newest)
    try {
      return this.#readChanges(prefix, after, newest)
    } catch (thrown) {
      throw sqliteError(thrown, this.path, `the history after revision ${after}`)
    }
  }

  /** Moves on to what has just been committed. */
  advance(head: Head, keys: ReadonlyMap<string, number>): void {
    this.#head = head
    for (const [key, revision] of keys) {
      if (revision === 0) this.index.delete(key)
      else this.index.set(key, revision)
    }
    this.acknowledged.write(head.revision)
  }

  /**
   * Copies the write-ahead log into the database when it has grown. A failure loses nothing: the log keeps what it
   * has and it is tried again after the next commit.
   */
  checkpoint(): void {
    try {
      const { size } = statSync(`${this.path}-wal`)
      if (size >= CHECKPOINT_PAGES * 4096) this.connection.exec('PRAGMA wal_checkpoint(PASSIVE)')
    } catch {
      // A full disk, most likely; commits say so by themselves.
    }
  }

  [Symbol.dispose](): void {
    this.acknowledged[Symbol.dispose]()
    this.connection.close()
  }

  #read(key: string, revision: number): Entry {
    try {
      const raw = this.#selectOne.get(revision, key)
      if (raw === undefined)
        throw keyCorrupt(this.path, key, `its row of revision ${revision} is missing`)
      const row = parseVersion(raw)
      if (row === undefined || row.isDeletion)
        throw keyCorrupt(this.path, key, 'its checksum is wrong')
      return { key, revision, value: row.value }
    } catch (thrown) {
      throw sqliteError(thrown, this.path, `"${key}"`)
    }
  }

  /** Every revision after `after` is complete or an error: `size` says how many rows it must have. */
  #readChanges(prefix: string, after: number, newest: number): ChangePage {
    const changes: Change[] = []
    let through = after
    let rowsLeft = 0
    let bytes = 0
    for (const raw of this.#selectAfter.iterate(after, newest)) {
      const row = parseVersion(raw)
      if (row === undefined)
        throw stateCorrupt(this.path, `revision ${through + 1}`, 'a checksum is wrong')
      if (rowsLeft === 0) {
        if (changes.length >= PAGE_CHANGES_MAX || bytes >= PAGE_BYTES_MAX)
          return { changes, through }
        if (row.revision !== through + 1) break
        rowsLeft = row.size
        through = row.revision
      }
      if (row.revision !== through) break
      rowsLeft--
      if (!row.key.startsWith(prefix)) continue
      changes.push(changeOf(row))
      bytes += row.value.byteLength
    }
    if (rowsLeft === 0 && through === newest) return { changes, through }
    throw stateCorrupt(
      this.path,
      `revision ${rowsLeft === 0 ? through + 1 : through}`,
      'a row is missing',
    )
  }

  #buildIndex(): void {
    const rows = this.connection.prepare(
      'SELECT key, revision, isDeletion FROM version ORDER BY revision, key',
    )
    for (const { key, revision, isDeletion } of rows.iterate()) {
      if (typeof key !== 'string' || typeof revision !== 'number') {
        throw stateCorrupt(this.path, 'the table of versions', 'a row is not one of ours')
      }
      if (isDeletion === 0) this.index.set(key, revision)
      else this.index.delete(key)
    }
    if (this.index.size === this.#head.entries) return
    const finding = `${this.index.size} keys are there, ${this.#head.entries} were written`
    throw stateCorrupt(this.path, 'the table of versions', finding)
  }
}

function changeOf({ key, revision, isDeletion, value }: VersionRow): Change {
  if (isDeletion) return { kind: 'delete', key, revision }
  return { kind: 'put', entry: { key, revision, value } }
}

/** Nobody else may read what is in it. */
function createFile(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  closeSync(openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600))
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
