/** What every answer has in common: request ids and the body of an error. */

import { randomBytes } from 'node:crypto'

import { CODES } from '../core/error.ts'
import type { QuiverError } from '../core/error.ts'
import type { ErrorBody } from '../core/link.ts'

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** The caller's own id where it is one, else a new one. */
export function requestIdOf(header: string | string[] | undefined): string {
  if (typeof header === 'string' && REQUEST_ID.test(header)) return header
  return randomBytes(8).toString('hex')
}

export function buildErrorBody(error: QuiverError): ErrorBody {
  const { code, reason, message, hint } = error
  return hint === undefined ? { code, reason, message } : { code, reason, message, hint }
}

export function statusOf(error: QuiverError): number {
  return CODES[error.code].http
}
