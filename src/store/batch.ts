/**
 * What every store checks before it touches anything: limits of keys, values and batches, and expected revisions.
 * Pure; how a batch is made durable is each implementation's own business.
 */

import { QuiverError } from '../core/error.ts'

import type { Operation } from './store.ts'

export const KEY_BYTES_MAX = 512
export const VALUE_BYTES_MAX = 1024 * 1024
export const BATCH_OPERATIONS_MAX = 1024
export const BATCH_BYTES_MAX = 16 * 1024 * 1024

/** Printable ASCII without the space: byte order, UTF-16 order and what a person sees are then the same order. */
const KEY = /^[\x21-\x7e]+$/

/** @throws QuiverError `invalid_argument/KEY_INVALID` or `KEY_TOO_LONG` */
export function validateKey(key: string): void {
  if (!KEY.test(key)) {
    throw new QuiverError('invalid_argument', 'KEY_INVALID', `${quote(key)} is not a key`, {
      hint: 'Use printable ASCII without spaces, at least one character.',
    })
  }
  if (key.length <= KEY_BYTES_MAX) return
  const message = `the key ${quote(key)} has ${key.length} bytes; ${KEY_BYTES_MAX} are allowed`
  throw new QuiverError('invalid_argument', 'KEY_TOO_LONG', message)
}

/**
 * @throws QuiverError `invalid_argument/KEY_INVALID`, `KEY_TOO_LONG`, `VALUE_TOO_LARGE`, `BATCH_TOO_LARGE`,
 *   or `BATCH_INVALID` for an empty batch and for two writes of one key
 */
export function validateBatch(operations: readonly Operation[]): void {
  if (operations.length === 0) {
    throw new QuiverError('invalid_argument', 'BATCH_INVALID', 'the batch has no operation')
  }
  const written = new Set<string>()
  let bytes = 0
  for (const operation of operations) {
    validateKey(operation.key)
    bytes += operation.key.length
    if (operation.kind === 'put') {
      validateValue(operation.key, operation.value)
      bytes += operation.value.byteLength
    }
    if (operation.kind === 'check') continue
    if (written.has(operation.key)) {
      const message = `the batch writes ${quote(operation.key)} twice`
      throw new QuiverError('invalid_argument', 'BATCH_INVALID', message)
    }
    written.add(operation.key)
  }
  if (operations.length <= BATCH_OPERATIONS_MAX && bytes <= BATCH_BYTES_MAX) return
  const message =
    `the batch has ${operations.length} operations and ${bytes} bytes;` +
    ` ${BATCH_OPERATIONS_MAX} and ${BATCH_BYTES_MAX} are allowed`
  throw new QuiverError('invalid_argument', 'BATCH_TOO_LARGE', message)
}

/**
 * The error for the first operation whose `expected` does not hold, if there is one.
 *
 * @param revisionOf  the revision that a key has before the batch; 0 when it does not exist
 */
export function findConflict(
  operations: readonly Operation[],
  revisionOf: (key: string) => number,
): QuiverError | undefined {
  for (const { key, expected } of operations) {
    if (expected === undefined) continue
    const revision = revisionOf(key)
    if (revision === expected) continue
    const message = `${quote(key)} is ${describe(revision)}, expected was ${describe(expected)}`
    return new QuiverError('failed_precondition', 'REVISION_CONFLICT', message, {
      hint: 'Read the key again and repeat the change on what it holds now.',
      details: { key, revision, expected },
    })
  }
  return undefined
}

export function revisionCompacted(after: number, compacted: number): QuiverError {
  const message = `changes after revision ${after} are no longer kept; the oldest are after ${compacted}`
  return new QuiverError('failed_precondition', 'REVISION_COMPACTED', message, {
    hint: 'Watch again from 0 and replace what was known by what exists.',
    details: { after, compacted },
  })
}

export function revisionUnknown(after: number, revision: number): QuiverError {
  const message = `revision ${after} was never committed; the newest is ${revision}`
  return new QuiverError('invalid_argument', 'REVISION_UNKNOWN', message, {
    hint: 'Watch again from 0: the state may have been restored from an older copy.',
    details: { after, revision },
  })
}

export function storeClosed(): QuiverError {
  return new QuiverError('canceled', 'STATE_CLOSED', 'the state store is closed')
}

function validateValue(key: string, value: Uint8Array): void {
  if (value.byteLength <= VALUE_BYTES_MAX) return
  const message = `the value of ${quote(key)} has ${value.byteLength} bytes; ${VALUE_BYTES_MAX} are allowed`
  throw new QuiverError('invalid_argument', 'VALUE_TOO_LARGE', message)
}

function describe(revision: number): string {
  return revision === 0 ? 'absent' : `at revision ${revision}`
}

function quote(key: string): string {
  return JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}…` : key)
}
