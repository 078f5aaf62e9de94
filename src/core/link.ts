/**
 * What control tells the data plane (proxy and egress), and what it hears back.
 *
 * One JSON object per line over a unix stream socket that control listens on (docs/internals/link.md). After a
 * connection is made the client says `hello`, and control answers with `table` or `policy`: the whole truth. Then both
 * sides send changes. A lost connection loses no truth: the client keeps what it knows and connects again.
 */

import type { CODES } from './error.ts'

export type Code = keyof typeof CODES

/** An error as it travels: in API bodies, over the link, in 50x bodies. */
export interface ErrorBody {
  readonly code: Code
  readonly reason: string
  readonly message: string
  readonly hint?: string
}

export interface TaskRoute {
  readonly task: string
  readonly routes: readonly string[]
  readonly sticky: 'none' | 'cookie' | 'client'
  /** Plain TCP ports that the host listens on for this task. */
  readonly publish: readonly {
    readonly address: string
    readonly hostPort: number
    readonly port: number
  }[]
  /** Not null: answer every request with this error, wake nothing. */
  readonly refusal: (ErrorBody & { readonly retryAfterS?: number }) | null
  /** The first is current. Percents sum to 100. */
  readonly revisions: readonly RevisionRoute[]
}

export interface RevisionRoute {
  readonly revision: number
  readonly percent: number
  /** Port of the web server inside an instance; null: no HTTP. */
  readonly httpPort: number | null
  readonly concurrency: number
  readonly requestTimeoutMs: number
  readonly startTimeoutMs: number
  readonly queueLength: number
  readonly bodyBytes: number | null
  readonly instances: readonly InstanceRoute[]
}

export interface InstanceRoute {
  readonly id: string
  /** A paused instance must be woken before use. */
  readonly state: 'running' | 'paused'
  readonly endpoint: {
    readonly kind: 'descriptor' | 'socket'
    readonly path: string
    /** In place of the declared port, where several instances share the endpoint. */
    readonly port?: number
  }
  /** How it was started, for the `server-timing` of its first request. */
  readonly startKind: 'cold' | 'pooled' | 'restored'
}

export type ToProxy =
  /** `carried` is for a proxy that hears it first: what its predecessor had counted, where it goes on. */
  | {
      readonly type: 'table'
      readonly tasks: readonly TaskRoute[]
      readonly carried?: Carried
    }
  | { readonly type: 'task'; readonly task: TaskRoute }
  | { readonly type: 'gone'; readonly task: string }
  /**
   * Route nothing more to the instance and close its pooled connections. `idle`: only if nothing is in flight
   * (answer `drained` or `busy` at once). `retire`: answer `drained` when the last request has ended.
   */
  | { readonly type: 'drain'; readonly instance: string; readonly mode: 'idle' | 'retire' }
  /** The wake of a revision failed: answer everything that waits for it. */
  | {
      readonly type: 'wakeFailed'
      readonly task: string
      readonly revision: number
      readonly error: ErrorBody
      readonly retryAfterS: number
    }

  /** An instance ended by itself: what to tell clients whose requests it broke. */
  | { readonly type: 'exited'; readonly instance: string; readonly error: ErrorBody }
  /** An instance lost the requests that it had, and takes the next ones. */
  | { readonly type: 'broke'; readonly instance: string; readonly error: ErrorBody }

export type FromProxy =
  | { readonly type: 'hello'; readonly role: 'proxy'; readonly pid: number }
  /** Requests wait for this revision: `waiting` of them. Sent once until `task`/`wakeFailed`, again when it grows twofold. */
  | {
      readonly type: 'wake'
      readonly task: string
      readonly revision: number
      readonly waiting: number
      /** Requests that the revision's instances have at this moment, all together. */
      readonly inFlight: number
    }
  /** Changes since the last report, at most every 100 ms. */
  | { readonly type: 'activity'; readonly instances: readonly InstanceActivity[] }
  | { readonly type: 'drained' | 'busy'; readonly instance: string }
  /** A stream could not be opened, or the instance broke the connection with a request in flight. */
  | { readonly type: 'suspect'; readonly instance: string; readonly message: string }
  /** The first request an instance served after a wake. */
  | {
      readonly type: 'firstByte'
      readonly instance: string
      readonly requestId: string
      /** How long the request waited for the instance. */
      readonly queueMs: number
      /** CLOCK_MONOTONIC, nanoseconds. */
      readonly atNs: number
    }
  /** Counters, at most once a second, only when changed. */
  | { readonly type: 'counters'; readonly tasks: Readonly<Record<string, TaskCounters>> }
  /** A published port could not be bound. */
  | {
      readonly type: 'publishFailed'
      readonly task: string
      readonly address: string
      readonly hostPort: number
      readonly message: string
    }

/** What proxies have counted, by the names of tasks and the ids of instances. */
export interface Carried {
  readonly tasks: Readonly<Record<string, TaskCounters>>
  /** Requests. */
  readonly instances: Readonly<Record<string, number>>
}

export interface InstanceActivity {
  readonly instance: string
  readonly inFlight: number
  /** CLOCK_MONOTONIC milliseconds of the last end of a request; only when inFlight is 0. */
  readonly idleSinceMs: number
  readonly requests: number
}

export interface TaskCounters {
  readonly requests: number
  /** By status class, `2xx` and so on. */
  readonly statuses: Readonly<Record<string, number>>
  readonly bytesIn: number
  readonly bytesOut: number
  /** Requests by how their instance came to be: cold, resumed, warm. */
  readonly starts: Readonly<Record<string, number>>
}

/** What one instance may reach. */
export interface Grant {
  readonly instance: string
  readonly task: string
  /** What ainit presents for each relayed connection. */
  readonly token: string
  readonly targets: readonly GrantTarget[]
}

export type GrantTarget =
  | {
      readonly kind: 'task'
      readonly name: string
      readonly port: number
      readonly task: string
      readonly protocol: 'http' | 'tcp'
    }
  | {
      readonly kind: 'host'
      readonly name: string
      readonly port: number
      readonly isPrivateAllowed: boolean
    }

export type ToEgress =
  | { readonly type: 'policy'; readonly grants: readonly Grant[] }
  | { readonly type: 'grant'; readonly grant: Grant }
  | { readonly type: 'revoke'; readonly instance: string }

export type FromEgress =
  | { readonly type: 'hello'; readonly role: 'egress'; readonly pid: number }
  | {
      readonly type: 'denied'
      readonly instance: string
      readonly target: string
      readonly reason: string
    }
