/**
 * Sockets that the embedder hands to a guest. Preview 1 cannot make any: it
 * can accept from a listener it was given, and receive, send and shut down.
 */

import type { ByteSource } from './streams.ts'

export interface SocketConnection extends ByteSource {
  /** Like the `write` of a `ByteSink`. */
  write(bytes: Uint8Array): void | Promise<void>
  /** Ends one direction, or both. */
  shutdown(how: { readonly read: boolean; readonly write: boolean }): void
  close(): void | Promise<void>
}

export interface Listener {
  /** The next connection; a promise holds the guest until there is one. Undefined if there is none and `wait` is false. */
  accept(wait: boolean): SocketConnection | undefined | Promise<SocketConnection | undefined>
  /** Whether `accept` would give one at once. Where it is absent, a guest that polls is told so, and then waits in `accept`. */
  isReady?(): boolean
  close?(): void | Promise<void>
}
