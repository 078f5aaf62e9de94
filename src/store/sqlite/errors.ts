/** What SQLite and this store report, as the errors that callers know. */

import { QuiverError } from '../../core/error.ts'

/** Primary result codes of https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/** Extended codes of reads that found less, or other, than what was written. */
const SQLITE_IOERR_READ = 266
const SQLITE_IOERR_SHORT_READ = 522
const SQLITE_IOERR_DATA = 8202
const SQLITE_IOERR_CORRUPTFS = 8458
const READ_FAILURES: ReadonlySet<number> = new Set([
  SQLITE_IOERR_READ,
  SQLITE_IOERR_SHORT_READ,
  SQLITE_IOERR_DATA,
  SQLITE_IOERR_CORRUPTFS,
])

const CORRUPT_HINT =
  'Stop the node, keep a copy of the file and of those beside it, and restore the folder from a backup. Nothing was deleted.'

/** @param where  what is damaged: a key in quotation marks, or the file */
export function stateCorrupt(path: string, where: string, finding: string): QuiverError {
  return new QuiverError(
    'data_loss',
    'STATE_CORRUPT',
    `${where} in ${path} is damaged: ${finding}`,
    {
      hint: CORRUPT_HINT,
      details: { path },
    },
  )
}

export function keyCorrupt(path: string, key: string, finding: string): QuiverError {
  return new QuiverError(
    'data_loss',
    'STATE_CORRUPT',
    `"${key}" in ${path} is damaged: ${finding}`,
    {
      hint: `Write the key again, or restore it from a backup. ${CORRUPT_HINT}`,
      details: { path, key },
    },
  )
}

export function stateLocked(path: string): QuiverError {
  return new QuiverError(
    'failed_precondition',
    'STATE_LOCKED',
    `${path} is in use by another process`,
    {
      hint: 'Stop the other node that uses this folder, or give this one a folder of its own.',
      details: { path },
    },
  )
}

export function stateUnavailable(path: string, message: string): QuiverError {
  return new QuiverError('unavailable', 'STATE_UNAVAILABLE', `${path} cannot be used: ${message}`, {
    hint: 'Look at the disk (dmesg, df), then restart the node. What was acknowledged is on the disk.',
    details: { path },
  })
}

/** Wraps whatever SQLite threw; keeps a `QuiverError` as it is. */
export function sqliteError(thrown: unknown, path: string, where = 'the state'): QuiverError {
  if (thrown instanceof QuiverError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const extended = resultCodeOf(thrown)
  if (extended === undefined) return systemError(thrown, path, where, message)
  if (READ_FAILURES.has(extended)) return stateCorrupt(path, where, message)
  switch (extended & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return stateCorrupt(path, where, message)
    case SQLITE_FULL:
      return diskFull(path)
    case SQLITE_BUSY:
      return stateLocked(path)
    default:
      return stateUnavailable(path, `${message} (SQLite ${extended})`)
  }
}

/** True when it is not known whether what was written is on the disk: an fsync must not simply be tried again. */
export function isWriteUncertain(thrown: unknown): boolean {
  const extended = resultCodeOf(thrown)
  return (
    extended !== undefined && (extended & 0xff) === SQLITE_IOERR && !READ_FAILURES.has(extended)
  )
}

function diskFull(path: string): QuiverError {
  return new QuiverError(
    'resource_exhausted',
    'DISK_FULL',
    `no space is left for ${path}; nothing was written`,
    {
      hint: 'Free some space on this file system and try again.',
      details: { path },
    },
  )
}

function resultCodeOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return undefined
  return typeof thrown.errcode === 'number' ? thrown.errcode : undefined
}

/** What was thrown by Node.js rather than SQLite. */
function systemError(thrown: unknown, path: string, where: string, message: string): QuiverError {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  // An integer that does not fit a double was never written by us.
  if (code === 'ERR_OUT_OF_RANGE') return stateCorrupt(path, where, message)
  if (code === 'ENOSPC') return diskFull(path)
  const isSystemCall = thrown instanceof Error && 'syscall' in thrown
  return isSystemCall ? stateUnavailable(path, message) : QuiverError.from(thrown)
}
