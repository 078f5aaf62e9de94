/**
 * The database file: its tables, how it is opened, and what a row of it is. No queries of the store itself.
 *
 * `version` is append-only: one row per key and commit, values and deletions alike. Which row of a key counts is
 * kept in memory (key → revision), rebuilt from this table on opening: a key that cannot be found is then known to
 * be damaged rather than absent. Rows that were overwritten are kept for watchers, up to a bound.
 */

import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { crc32 } from 'node:zlib'

/** "QVRS": `file(1)` and SQLite see whose file this is. */
export const APPLICATION_ID = 0x51565253
export const SCHEMA_VERSION = 1

const SCHEMA = `
  CREATE TABLE version (
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    isDeletion INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (revision, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expiresAtMs INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** One change of one key. */
export interface VersionRow {
  readonly revision: number
  readonly key: string
  /** How many rows this revision has: a missing one is noticed. */
  readonly size: number
  readonly isDeletion: boolean
  readonly value: Uint8Array
}

export interface Head {
  readonly revision: number
  /** Overwritten rows up to this revision are gone. */
  readonly compacted: number
  /** Keys that exist. */
  readonly entries: number
}

export interface LeaseRow {
  readonly name: string
  readonly owner: string
  readonly expiresAtMs: number
}

/**
 * Opens the file and locks it for this process, as long as the connection lives.
 *
 * Exclusive locking before the first access keeps the index of the write-ahead log in memory: there is no `-shm`
 * file whose truncation could kill us with SIGBUS. Nothing is checked or created here.
 */
export function connect(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  try {
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA mmap_size = 0;
      PRAGMA cache_spill = OFF;
      PRAGMA cell_size_check = ON;
      PRAGMA trusted_schema = OFF;
      PRAGMA temp_store = MEMORY;
    `)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** The value of an integer pragma. */
export function pragma(database: DatabaseSync, name: string): number {
  return integer(database.prepare(`PRAGMA ${name}`).get()?.[name])
}

/** True for a file that SQLite has never written a table to. */
export function isBlank(database: DatabaseSync): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined
}

/** Durable and atomic: a crash leaves all of it or none. */
export function createSchema(database: DatabaseSync): void {
  const head: Head = { revision: 0, compacted: 0, entries: 0 }
  database.exec('BEGIN IMMEDIATE')
  database.exec(SCHEMA)
  database
    .prepare('INSERT INTO head VALUES (1, ?, ?, ?, ?)')
    .run(head.revision, head.compacted, head.entries, headChecksum(head))
  database.exec('COMMIT')
}

type Raw = Readonly<Record<string, SQLOutputValue>>

/** The row, or undefined when its checksum is wrong. */
export function parseVersion(raw: Raw): VersionRow | undefined {
  const row = readVersion(raw)
  return versionChecksum(row) === raw['checksum'] ? row : undefined
}

/** The row as it is there, right or not. */
export function readVersion(raw: Raw): VersionRow {
  return {
    revision: integer(raw['revision']),
    key: text(raw['key']),
    size: integer(raw['size']),
    isDeletion: raw['isDeletion'] !== 0,
    value: raw['value'] instanceof Uint8Array ? raw['value'] : new Uint8Array(),
  }
}

/** The head, or undefined when it is missing or its checksum is wrong. */
export function readHead(database: DatabaseSync): Head | undefined {
  const raw = database.prepare('SELECT * FROM head WHERE id = 1').get()
  if (raw === undefined) return undefined
  const head: Head = {
    revision: integer(raw['revision']),
    compacted: integer(raw['compacted']),
    entries: integer(raw['entries']),
  }
  return headChecksum(head) === raw['checksum'] ? head : undefined
}

/** The lease, or undefined when its checksum is wrong. */
export function parseLease(raw: Raw): LeaseRow | undefined {
  const lease: LeaseRow = {
    name: text(raw['name']),
    owner: text(raw['owner']),
    expiresAtMs: integer(raw['expiresAtMs']),
  }
  return leaseChecksum(lease) === raw['checksum'] ? lease : undefined
}

/** CRC-32: every single flipped bit and every burst of 32 is found. SQLite itself has no checksums of pages. */
export function versionChecksum({ revision, key, size, isDeletion, value }: VersionRow): number {
  return crc32(value, crc32(`${revision} ${key} ${size} ${isDeletion ? 1 : 0}\n`))
}

export function headChecksum({ revision, compacted, entries }: Head): number {
  return crc32(`${revision} ${compacted} ${entries}`)
}

export function leaseChecksum({ name, owner, expiresAtMs }: LeaseRow): number {
  return crc32(`${name}\n${owner}\n${expiresAtMs}`)
}

/** NaN for anything else: no checksum is right with it. */
function integer(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
