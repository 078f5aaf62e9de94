/**
 * What the host functions need of the executor around them, for one request: its facts, the outside world, and limits.
 *
 * Headers are flat lists (name, value, name, value …) of latin1 text, one character for each byte, as they are on the wire.
 */

import type { ValueType } from './facts.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface RequestFacts {
  readonly method: string
  /** As sent, latin1, without query. */
  readonly path: string
  /** As sent, latin1, without the question mark. */
  readonly query: string
  /** Of the route, decoded. */
  readonly params: ReadonlyMap<string, string>
  readonly rawHeaders: readonly string[]
}

export interface OutgoingRequest {
  readonly method: string
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
  /** A longer answer is an error `resource_exhausted`. */
  readonly answerBytesMax: number
}

/** The host functions take over what is in it. */
export interface IncomingResponse {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
}

/** A call of an export of another task. */
export interface TaskCall {
  readonly task: string
  /** The export. */
  readonly function: string
  /** Numbers for its parameters; bigint for an i64. */
  readonly args: readonly (number | bigint)[]
  /** What the caller expects back; undefined: nothing. */
  readonly result: ValueType | undefined
  readonly input: Uint8Array
  readonly inputHeaders: readonly string[]
  /** Buffers whose ids are among the arguments: the callee finds copies of them under the same ids. */
  readonly buffers: ReadonlyMap<number, Uint8Array>
  readonly answerBytesMax: number
}

export interface TaskResult {
  /** What the export returned; undefined when it returns nothing. */
  readonly value: number | bigint | undefined
  readonly output: IncomingResponse
}

export interface HostLimits {
  /** Buffers of one request beside input and output. */
  readonly buffersMax: number
  /** Bytes of all of them together. */
  readonly bufferBytesMax: number
  /** Below 2 GiB, as `bufferBytesMax`. */
  readonly outputBytesMax: number
  readonly callsPerSecondMax: number
}

/**
 * One for each request. What waits rejects with a `QuiverError`, whose code tells the guest why: `permission_denied`,
 * `not_found`, `invalid_argument`, `deadline_exceeded`, `resource_exhausted`, `unavailable`.
 */
export interface GuestHost {
  readonly request: RequestFacts
  /** Bodies that were sent: one, unless the request is a call with several. */
  readonly inputs: readonly Uint8Array[]
  readonly limits: HostLimits
  /** Must not throw. `text` is a whole message, and may have several lines. */
  log(level: LogLevel, text: string): void
  /** To an http or https URL. Checks that the task may reach it. */
  fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse>
  /** @param path  with its query */
  requestTask(task: string, path: string, request: OutgoingRequest): Promise<IncomingResponse>
  callTask(call: TaskCall): Promise<TaskResult>
}
