/**
 * Takes damaged rows out of a database, so that one of them does not cost all the others. What they held is kept beside it,
 * in `<database>-damaged`, one JSON object a line: for whoever can still make something of it, and so that they are named.
 *
 * A key whose newest row is damaged is gone: an older value would be a wrong one.
 */

import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

import { stateCorrupt } from './errors.ts'
import { headChecksum, readHead, readVersion } from './schema.ts'

export interface DamagedRow {
  readonly revision: number
  readonly key: string
}

/**
 * One transaction; the rows are on the disk elsewhere before they are gone here. The history before the last of them is
 * cut, since it is no longer whole.
 *
 * @throws whatever SQLite or the file system throws; nothing has changed then
 */
export function setAside(
  database: DatabaseSync,
  path: string,
  damaged: readonly DamagedRow[],
): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    keepCopies(database, path, damaged)
    remove(database, path, damaged)
    database.exec('COMMIT')
  } catch (thrown) {
    database.exec('ROLLBACK')
    throw thrown
  }
}

/** Keys of the rows that were set aside, until somebody deletes the file. */
export function listSetAside(path: string): readonly string[] {
  const lines = readQuietly(damagedPath(path)).split('\n')
  return [...new Set(lines.flatMap(keyOf))]
}

function damagedPath(path: string): string {
  return `${path}-damaged`
}

function keepCopies(database: DatabaseSync, path: string, damaged: readonly DamagedRow[]): void {
  const select = database.prepare('SELECT * FROM version WHERE revision = ? AND key = ?')
  const lines = damaged.map(({ revision, key }) => {
    const raw = select.get(revision, key)
    if (raw === undefined) throw stateCorrupt(path, `"${key}"`, 'its row is missing')
    const { value, ...row } = readVersion(raw)
    const text = Buffer.from(value).toString('base64')
    return JSON.stringify({ ...row, checksum: raw['checksum'], value: text })
  })
  const descriptor = openSync(damagedPath(path), 'a', 0o600)
  try {
    writeSync(descriptor, `${lines.join('\n')}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function remove(database: DatabaseSync, path: string, damaged: readonly DamagedRow[]): void {
  const head = readHead(database)
  if (head === undefined) throw stateCorrupt(path, 'the head', 'its checksum is wrong')
  const isDamaged = new Set(damaged.map(nameOf))
  const compacted = damaged.reduce((last, row) => Math.max(last, row.revision), head.compacted)
  const rows = database
    .prepare('SELECT revision, key, isDeletion FROM version ORDER BY revision, key')
    .all()
    .map((raw) => ({
      revision: Number(raw['revision']),
      key: String(raw['key']),
      isDeletion: raw['isDeletion'] !== 0,
    }))
  const newest = new Map(rows.map((row) => [row.key, row]))
  const lost = [...newest.values()].filter((row) => !row.isDeletion && isDamaged.has(nameOf(row)))
  const statement = database.prepare('DELETE FROM version WHERE revision = ? AND key = ?')
  for (const row of rows) {
    const isLive = newest.get(row.key) === row && !row.isDeletion && !isDamaged.has(nameOf(row))
    if (row.revision <= compacted && !isLive) statement.run(row.revision, row.key)
  }
  const after = { revision: head.revision, compacted, entries: head.entries - lost.length }
  database
    .prepare('UPDATE head SET compacted = ?, entries = ?, checksum = ? WHERE id = 1')
    .run(after.compacted, after.entries, headChecksum(after))
}

function nameOf({ revision, key }: DamagedRow): string {
  return `${revision} ${key}`
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** None for a line that a crash cut. */
function keyOf(line: string): readonly string[] {
  try {
    const { key }: { key?: unknown } = JSON.parse(line)
    return typeof key === 'string' ? [key] : []
  } catch {
    return []
  }
}
