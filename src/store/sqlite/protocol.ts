/** What the store and its worker thread say to each other: plain data that survives structured cloning. */

import { QuiverError, type Code } from '../../core/error.ts'
import type { Entry, Operation } from '../store.ts'
import type { ChangePage } from '../watch.ts'

import type { PackedSnapshot } from './packed.ts'
import type { DamagedRow } from './set-aside.ts'

export interface OpenOptions {
  readonly path: string
  readonly historyRevisionsMax: number
  readonly damaged: readonly DamagedRow[]
}

export interface GetRequest {
  readonly kind: 'get'
  readonly key: string
}

export interface ListRequest {
  readonly kind: 'list'
  readonly prefix: string
}

export interface ChangesRequest {
  readonly kind: 'changes'
  readonly prefix: string
  readonly after: number
}

export interface CommitRequest {
  readonly kind: 'commit'
  readonly operations: readonly Operation[]
}

export interface LeaseRequest {
  readonly kind: 'lease'
  readonly name: string
  readonly owner: string
  readonly nowMs: number
  readonly expiresAtMs: number
}

export interface ReleaseRequest {
  readonly kind: 'release'
  readonly name: string
  readonly owner: string
}

export type ReadRequest = GetRequest | ListRequest | ChangesRequest
export type WriteRequest = CommitRequest | LeaseRequest | ReleaseRequest
export type Request = ReadRequest | WriteRequest

/** What each kind of request is answered with. */
export interface Answers {
  readonly get: Entry | undefined
  /** In byte order of the keys. */
  readonly list: PackedSnapshot
  readonly changes: ChangePage
  readonly commit: Committed
  readonly lease: boolean
  readonly release: boolean
}

export interface Committed {
  readonly revision: number
  /** Keys that changed; empty when the batch changed nothing and made no revision. */
  readonly keys: readonly string[]
}

export type Answer = Answers[keyof Answers]

export type ToWorker =
  | { readonly type: 'open'; readonly options: OpenOptions }
  /** Requests that may become one transaction. The next group is sent when this one is answered. */
  | { readonly type: 'group'; readonly requests: readonly Request[] }
  | { readonly type: 'close' }

export type FromWorker =
  | { readonly type: 'opened'; readonly outcome: Outcome<{ readonly revision: number }> }
  /** One outcome per request of the group, in its order. Sent when all that it says is durable. */
  | { readonly type: 'answered'; readonly outcomes: readonly Outcome<Answer>[] }

export type Outcome<T> =
  | { readonly isOk: true; readonly value: T }
  | { readonly isOk: false; readonly error: ErrorMessage }

/** A `QuiverError` without its class, which does not survive the way between threads. */
export interface ErrorMessage {
  readonly code: Code
  readonly reason: string
  readonly message: string
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, string | number | boolean>>
}

export function ok<T>(value: T): Outcome<T> {
  return { isOk: true, value }
}

export function failed(error: QuiverError): Outcome<never> {
  const { code, reason, message, hint, details } = error
  return { isOk: false, error: { code, reason, message, hint, details } }
}

export function errorOf({ code, reason, message, hint, details }: ErrorMessage): QuiverError {
  return new QuiverError(code, reason, message, { details, ...(hint !== undefined && { hint }) })
}
