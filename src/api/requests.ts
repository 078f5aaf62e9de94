/**
 * What callers of the control API ask for, as types. Their validation is in `schemas.ts`; what they get is in
 * `resources.ts`. Times are milliseconds since the epoch, sizes are bytes.
 */

import type { Digest } from '../core/digest.ts'
import type { Isolation, Network } from '../core/task.ts'

/** What a deployment or a run changes of the image's `spec`; absent: nothing. */
export interface SpecOverrides {
  /** Replaces what follows the binary in argv. */
  readonly args?: readonly string[] | undefined
  /** Merged over the image's. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly memoryBytes?: number | undefined
  readonly cpuMillis?: number | undefined
  /** Longest life of an instance. */
  readonly wallTimeMs?: number | undefined
  readonly isolation?: Isolation | undefined
  readonly network?: Network | undefined
  readonly hostname?: string | undefined
  /** Of the bridge; with it or `mac` there is one instance at a time. */
  readonly ip?: string | undefined
  readonly mac?: string | undefined
  /** Replaces the image's. */
  readonly dns?: readonly string[] | undefined
  /** Published ports; each replaces the image's declaration of the same `port`. */
  readonly publish?: readonly PublishRequest[] | undefined
}

export interface PublishRequest {
  readonly address: string
  readonly hostPort: number
  readonly port: number
}

export interface DeployRequest {
  readonly image: Digest
  /** The image's own name unless given. */
  readonly name?: string | undefined
  /** A named start configuration of the image. */
  readonly config?: string | undefined
  readonly overrides?: SpecOverrides | undefined
  /** Of new requests for the new revision, 1–100; 100 unless given. The rest stays with the current revision. */
  readonly trafficPercent?: number | undefined
}

export interface RunRequest {
  readonly image: Digest
  /** A task name of its own for a detached run; made up unless given. */
  readonly name?: string | undefined
  readonly config?: string | undefined
  readonly overrides?: SpecOverrides | undefined
  /** Not null: a pseudo-terminal of this size is the program's stdio. */
  readonly terminal: TerminalSize | null
  readonly hasStdin: boolean
  /**
   * False: the program waits for the first primary attachment, so that it sees every byte, and the instance is
   * stopped when that attachment is lost. True: it starts at once and outlives the client.
   */
  readonly isDetached: boolean
  /** Folder and logs go when it ends. */
  readonly isRemovedAtEnd: boolean
  /** Of the host, for a WebAssembly program; none unless given. */
  readonly folders?: readonly SharedFolderRequest[] | undefined
}

export interface SharedFolderRequest {
  /** Absolute, on the host. */
  readonly source: string
  /** What the program calls it: absolute, without `.` and `..`. */
  readonly target: string
  readonly isWritable: boolean
}

/** JavaScript that nobody trusts, to be run once. */
export interface SnippetRequest {
  /** An ECMAScript module of one file. */
  readonly code: string
  /** `process.argv` after the name of the script; none unless given. */
  readonly args?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** What `process.stdin` has; nothing unless given. */
  readonly input?: string | undefined
  /** Of the script; 64 MiB unless given. */
  readonly memoryBytes?: number | undefined
  /** Longest life, with its start; 10 s unless given. */
  readonly timeoutMs?: number | undefined
}

/** A call of an export by its name. */
export interface InvokeRequest {
  readonly export: string
  /** As people write numbers: one for each parameter. */
  readonly args: readonly string[]
}

export interface TerminalSize {
  readonly rows: number
  readonly columns: number
}

export interface LogQuery {
  /** Milliseconds since the epoch. */
  readonly sinceMs?: number | undefined
  /** Only the last lines before following. */
  readonly tail?: number | undefined
  /** Go on with what is written from now on, until aborted. */
  readonly follow?: boolean | undefined
  /** The instance before the newest one. */
  readonly previous?: boolean | undefined
  /** An ECMAScript regular expression that a line must match. */
  readonly grep?: string | undefined
  /** Only lines that mention this request id. */
  readonly requestId?: string | undefined
}

export interface EventQuery {
  readonly sinceMs?: number | undefined
  readonly follow?: boolean | undefined
  readonly task?: string | undefined
}
