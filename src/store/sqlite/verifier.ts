/**
 * Verifies a database file: a program of its own, so that a file that breaks SQLite breaks nobody else, and so that
 * none of the memory it takes stays. It writes nothing. `check.ts` runs it.
 *
 *     verifier.ts FILE      prints one JSON object, a `Verdict`
 */

import { writeSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

import { readAcknowledged } from './acknowledged.ts'
import { sqliteError } from './errors.ts'
import {
  APPLICATION_ID,
  connect,
  isBlank,
  parseLease,
  parseVersion,
  pragma,
  readHead,
  readVersion,
  SCHEMA_VERSION,
  type Head,
  type VersionRow,
} from './schema.ts'
import type { DamagedRow } from './set-aside.ts'

export type Verdict =
  | { readonly kind: 'sound' }
  | { readonly kind: 'locked' }
  | { readonly kind: 'unusable'; readonly message: string }
  | { readonly kind: 'tooNew'; readonly version: number }
  | { readonly kind: 'corrupt'; readonly findings: readonly string[] }
  /** All is well but these rows, and what they should hold is all that is not known. */
  | { readonly kind: 'damagedRows'; readonly rows: readonly DamagedRow[] }

/** One damaged page makes many findings; the first ones tell enough. */
const FINDINGS_MAX = 8
/** More than a disk that loses a page now and then would damage: somebody should look first. */
const DAMAGED_ROWS_MAX = 64

const [, , file = ''] = process.argv
writeSync(1, JSON.stringify(verify(file)))
// Closing the connection would copy the write-ahead log into a file that may be damaged. Dying does not.
process.kill(process.pid, 'SIGKILL')

function verify(path: string): Verdict {
  try {
    return inspect(connect(path), path)
  } catch (thrown) {
    const error = sqliteError(thrown, path, 'the file')
    if (error.reason === 'STATE_LOCKED') return { kind: 'locked' }
    const isDamage = error.reason === 'STATE_CORRUPT'
    if (!isDamage) return { kind: 'unusable', message: error.message }
    return { kind: 'corrupt', findings: [error.message] }
  }
}

function inspect(database: DatabaseSync, path: string): Verdict {
  const acknowledged = readAcknowledged(path)
  if (isBlank(database)) {
    if (acknowledged === 0) return { kind: 'sound' }
    return { kind: 'corrupt', findings: [`it is empty; revision ${acknowledged} was acknowledged`] }
  }
  const application = pragma(database, 'application_id')
  if (application !== APPLICATION_ID) {
    return {
      kind: 'corrupt',
      findings: [`it is not a state file of Quiver (application id ${application})`],
    }
  }
  const version = pragma(database, 'user_version')
  if (version !== SCHEMA_VERSION) return { kind: 'tooNew', version }

  const structure = inspectStructure(database)
  return structure.length > 0
    ? { kind: 'corrupt', findings: structure }
    : inspectContent(database, acknowledged)
}

/** Pages, cells and free space: nothing is missing, nothing is used twice. */
function inspectStructure(database: DatabaseSync): readonly string[] {
  const rows = database.prepare(`PRAGMA integrity_check(${FINDINGS_MAX})`).all()
  return rows.map((row) => String(row['integrity_check'])).filter((finding) => finding !== 'ok')
}

/** Every row has its checksum, every revision its rows, and all of them together what the head says. */
function inspectContent(database: DatabaseSync, acknowledged: number): Verdict {
  const head = readHead(database)
  if (head === undefined)
    return { kind: 'corrupt', findings: ['the checksum of the head is wrong'] }
  const { damaged, findings } = inspectVersions(database, head)
  findings.push(...inspectLeases(database))
  if (acknowledged > head.revision) {
    findings.push(
      `its newest revision is ${head.revision}, but revision ${acknowledged} was acknowledged` +
        ' (if an older copy was restored on purpose, delete the file ending in "-acknowledged")',
    )
  }
  if (findings.length === 0 && damaged.length <= DAMAGED_ROWS_MAX) {
    return damaged.length === 0 ? { kind: 'sound' } : { kind: 'damagedRows', rows: damaged }
  }
  const wrong = damaged.map(
    ({ key, revision }) => `the checksum of "${key}", revision ${revision}, is wrong`,
  )
  return { kind: 'corrupt', findings: [...wrong, ...findings].slice(0, FINDINGS_MAX) }
}

/**
 * A row whose checksum is wrong still counts by what it says of itself: where its key, its revision or its size is what
 * was damaged, the sums are wrong as well.
 */
function inspectVersions(
  database: DatabaseSync,
  head: Head,
): { readonly damaged: DamagedRow[]; readonly findings: string[] } {
  const findings: string[] = []
  const damaged: DamagedRow[] = []
  const live = new Set<string>()
  let expected = { revision: head.compacted, rowsLeft: 0 }
  for (const raw of database.prepare('SELECT * FROM version ORDER BY revision, key').iterate()) {
    const row = readVersion(raw)
    if (parseVersion(raw) === undefined) damaged.push({ revision: row.revision, key: row.key })
    if (row.isDeletion) live.delete(row.key)
    else live.add(row.key)
    if (row.revision > head.compacted) expected = follow(expected, row, findings)
  }
  if (expected.rowsLeft > 0 || expected.revision !== head.revision) {
    findings.push(`its rows end at revision ${expected.revision}, its head is ${head.revision}`)
  }
  if (live.size !== head.entries)
    findings.push(`it holds ${live.size} keys; ${head.entries} were written`)
  return { damaged, findings }
}

interface Expected {
  readonly revision: number
  readonly rowsLeft: number
}

function follow({ revision, rowsLeft }: Expected, row: VersionRow, findings: string[]): Expected {
  if (rowsLeft > 0 && row.revision === revision) return { revision, rowsLeft: rowsLeft - 1 }
  if (rowsLeft > 0 || row.revision !== revision + 1) {
    findings.push(`rows of revision ${rowsLeft > 0 ? revision : revision + 1} are missing`)
  }
  return { revision: row.revision, rowsLeft: row.size - 1 }
}

function inspectLeases(database: DatabaseSync): readonly string[] {
  return database
    .prepare('SELECT * FROM lease')
    .all()
    .filter((raw) => parseLease(raw) === undefined)
    .map((raw) => `the checksum of the lease "${String(raw['name'])}" is wrong`)
}
