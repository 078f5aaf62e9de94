/**
 * The connections to one port of one instance: idle ones are reused, new ones are opened without a bound, since the
 * activator bounds requests. A pool ends with `close`, before its instance is paused or stopped.
 */

import type { OnReadOpts, Socket } from 'node:net'

import { QuiverError } from '../../core/error.ts'

import { SharedReader, UpstreamConnection, type ConnectionOwner } from './connection.ts'

/** Opens streams to ports inside one instance. Whoever opened it closes it. */
export interface StreamOpener {
  /**
   * Connects to a port inside the instance. Never blocks the event loop, also when the instance is frozen.
   *
   * @param onread  as in `node:net`: takes what is read, instead of `data` events
   * @returns a connected socket with `allowHalfOpen`, owned by the caller
   * @throws when nothing listens there, the instance is gone, or `signal` says so
   */
  open(port: number, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket>
}

export type OnConnection = (error: Error | null, connection: UpstreamConnection | null) => void

/** Node.js servers close idle connections after 5 s, and most others later. */
const IDLE_LIMIT_MS = 4000
/** A request that cannot be sent again only takes a connection that was in use this recently. */
const FRESH_MS = 1000
const OPEN_TIMEOUT_MS = 5000
const IDLE_MAX = 256

export class Pool implements ConnectionOwner {
  readonly #opener: StreamOpener
  readonly #port: number
  /** The most recently used last. */
  readonly #idle: UpstreamConnection[] = []
  #isClosed = false

  constructor(opener: StreamOpener, port: number) {
    this.#opener = opener
    this.#port = port
  }

  /**
   * An idle connection, if there is one that is safe to use.
   *
   * @param isReplayable  the request may be sent again if the connection proves to be closed
   */
  take(isReplayable: boolean, nowMs: number): UpstreamConnection | null {
    const connection = this.#idle.pop()
    if (connection === undefined) return null
    const idleMs = nowMs - connection.idleSinceMs
    if (idleMs < connection.idleLimitMs && (isReplayable || idleMs < FRESH_MS)) return connection
    connection.destroy()
    // Those below have been idle for longer still.
    if (idleMs > IDLE_LIMIT_MS) for (const older of this.#idle.splice(0)) older.destroy()
    return null
  }

  /**
   * Opens a connection; `onConnection` is called later, once. The connection is in use until its first response ended.
   *
   * @param isUpgrade  the socket may be handed on as a stream
   */
  open(isUpgrade: boolean, onConnection: OnConnection): void {
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    const reader = isUpgrade ? null : new SharedReader()
    const opening =
      reader === null
        ? this.#opener.open(this.#port, signal)
        : this.#opener.open(this.#port, signal, reader)
    opening.then(
      (socket) => this.#adopt(socket, reader, onConnection),
      (thrown: unknown) => onConnection(toOpenError(thrown, signal), null),
    )
  }

  /** Gives back a connection that was opened for nothing. */
  putBack(connection: UpstreamConnection): void {
    this.onIdle(connection)
  }

  /** Closes idle connections now and those in use when their response has ended. Nothing may be taken any more. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#idle.splice(0)) connection.destroy()
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#isClosed || this.#idle.length >= IDLE_MAX) {
      connection.destroy()
      return
    }
    connection.idleSinceMs = performance.now()
    this.#idle.push(connection)
  }

  onGone(connection: UpstreamConnection): void {
    const index = this.#idle.indexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
  }

  #adopt(socket: Socket, reader: SharedReader | null, onConnection: OnConnection): void {
    if (this.#isClosed) {
      socket.destroy()
      onConnection(new QuiverError('unavailable', 'INSTANCE_CLOSED', 'the pool was closed'), null)
      return
    }
    onConnection(null, new UpstreamConnection(socket, reader, this, IDLE_LIMIT_MS))
  }
}

function toOpenError(thrown: unknown, signal: AbortSignal): Error {
  if (signal.aborted) {
    const message = `the instance accepted no connection within ${OPEN_TIMEOUT_MS} ms`
    return new QuiverError('unavailable', 'INSTANCE_UNREACHABLE', message)
  }
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
