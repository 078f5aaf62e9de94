/** What a script has around it: a request and its answer, or the streams of a run. */

import type { QuiverError } from '../../core/error.ts'
import type { IncomingResponse, OutgoingRequest } from '../guest-host.ts'

export interface ScriptWorld {
  /** Must not throw. @param level  `debug`, `info`, `warn`, `error` */
  log(level: string, text: string): void
  /** Answers. Later calls do nothing. `body` is there only until it returns. @throws QuiverError when that is no answer */
  respond(status: number, rawHeaders: readonly string[], body: Uint8Array): void
  /** A promise was rejected, and nobody listened. @returns why the script ends; undefined: it goes on */
  reject(trace: string): QuiverError | undefined
  /** What the script is given to read, all of it. */
  input(): Uint8Array
  /** As `GuestHost.fetch`. */
  fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse>
}

export interface ScriptLimits {
  /** Of computing, in all. */
  readonly cpuTimeMs: number
  /** Timers and requests that a script waits for at the same time. */
  readonly waitingMax: number
  readonly hostCallsPerSecondMax: number
  /** Of what it fetches. */
  readonly answerBytesMax: number
}
