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
  SCHEMA_VERSION,
  type Head,
  type VersionRow,
} from './schema.ts'

export type Verdict =
  | { readonly kind: 'sound' | 'locked' }
  | { readonly kind: 'unusable'; readonly message: string }
  | { readonly kind: 'tooNew'; readonly version: number }
  | { readonly kind: 'corrupt'; readonly findings: readonly string[] }

/** One damaged page makes many findings; the first ones tell enough. */
const FINDINGS_MAX = 8

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
  const findings = structure.length > 0 ? structure : inspectContent(database, acknowledged)
  return findings.length > 0 ? { kind: 'corrupt', findings } : { kind: 'sound' }
}

/** Pages, cells and free space: nothing is missing, nothing is used twice. */
function inspectStructure(database: DatabaseSync): readonly string[] {
  const rows = database.prepare(`PRAGMA integrity_check(${FINDINGS_MAX})`).all()
  return rows.map((row) => String(row['integrity_check'])).filter((finding) => finding !== 'ok')
}

/** Every row has its checksum, every revision its rows, and all of them together what the head says. */
function inspectContent(database: DatabaseSync, acknowledged: number): readonly string[] {
  const head = readHead(database)
  if (head === undefined) return ['the checksum of the head is wrong']
  const findings = [...inspectVersions(database, head), ...inspectLeases(database)]
  if (acknowledged > head.revision) {
    findings.push(
      `its newest revision is ${head.revision}, but revision ${acknowledged} was acknowledged` +
        ' (if an older copy was restored on purpose, delete the file ending in "-acknowledged")',
    )
  }
  return findings.slice(0, FINDINGS_MAX)
}

function inspectVersions(database: DatabaseSync, head: Head): readonly string[] {
  const findings: string[] = []
  const live = new Set<string>()
  let expected = { revision: head.compacted, rowsLeft: 0 }
  for (const raw of database.prepare('SELECT * FROM version ORDER BY revision, key').iterate()) {
    const row = parseVersion(raw)
    if (row === undefined) {
      findings.push(
        `the checksum of "${String(raw['key'])}", revision ${String(raw['revision'])}, is wrong`,
      )
      continue
    }
    if (row.isDeletion) live.delete(row.key)
    else live.add(row.key)
    if (row.revision > head.compacted) expected = follow(expected, row, findings)
  }
  if (expected.rowsLeft > 0 || expected.revision !== head.revision) {
    findings.push(`its rows end at revision ${expected.revision}, its head is ${head.revision}`)
  }
  if (live.size !== head.entries)
    findings.push(`it holds ${live.size} keys; ${head.entries} were written`)
  return findings
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
