/**
 * Outgoing requests whose bodies go through in pieces: what `wasi:http` asks for, and `outgoing/` does. Whoever takes pieces
 * slowly is not sent more, in both directions. Whole requests are in guest-host.ts.
 */

/** A body on its way out, asked for piece by piece. */
export interface OutgoingPieces {
  /** Bytes in all, if that is known by now; null: it is not. */
  readonly length: number | null
  /** Name, value, name, value …; complete at the end. */
  readonly trailers: readonly string[]
  /** Null at the end. Rejects, also later, when the guest gave it up. Not called again while it is pending. */
  next(): Promise<Uint8Array | null>
  /** Nobody takes any more of it: the exchange is over. */
  close(): void
}

export interface StreamedRequest {
  readonly method: string
  /** What it says of its length is overruled by the body. */
  readonly rawHeaders: readonly string[]
  readonly body: OutgoingPieces
  /** As long as the guest wants to wait; null: as long as its request may take. */
  readonly timeouts: StreamTimeouts
  /** The guest has ended. */
  readonly signal: AbortSignal
}

export interface StreamTimeouts {
  readonly connectMs: number | null
  readonly firstByteMs: number | null
  readonly betweenBytesMs: number | null
}

/** A body that comes in: a source of streams (wasi02/http-body.ts). */
export interface IncomingPieces {
  /** Null at the end. @throws QuiverError `unavailable/TARGET_BROKE`, `deadline_exceeded/TARGET_TIMEOUT` */
  read(bytesMax: number): Promise<Uint8Array | null>
  /** Empty until all of the body was read. */
  readonly trailers: readonly string[]
  /** Ends the exchange. May be called more than once. */
  close(): void
}

export interface StreamedResponse {
  readonly status: number
  readonly rawHeaders: readonly string[]
  /** Has to be read to its end, or closed. */
  readonly body: IncomingPieces
}
