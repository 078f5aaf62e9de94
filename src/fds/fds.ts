/**
 * File descriptors as Node.js does not know them: unix SOCK_SEQPACKET sockets, descriptors as messages, readiness,
 * flock(2), peer credentials. A typed face of `native/fds/fds.c`, and nothing more: no retries, no ownership.
 *
 * Nothing here waits. A descriptor that a function returns belongs to the caller, who closes it with `close`. Failures
 * are thrown as Node.js throws them: an `Error` with `code` (`'ECONNREFUSED'`), `errno` and `syscall`.
 */

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

import { QuiverError } from '../core/error.ts'

/** One message of a SOCK_SEQPACKET socket. */
export interface Message {
  readonly bytes: Buffer
  /** Close-on-exec, and the caller's to close. */
  readonly fds: readonly number[]
}

export interface Credentials {
  /** As seen from our pid namespace; 0 when the process is not in it. */
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** Opaque: the addon's own. */
type WatchHandle = object

/** What `native/fds/fds.c` exports. */
interface Native {
  readonly connectSeqpacket: (path: string) => number
  readonly connectStream: (path: string) => number
  readonly listenSeqpacket: (path: string, mode: number) => number
  readonly acceptSeqpacket: (listener: number) => number | undefined
  readonly receive: (fd: number, bytesMax: number) => Message | 'end' | undefined
  readonly send: (fd: number, bytes: Uint8Array, fds?: readonly number[]) => boolean
  readonly flock: (fd: number, isExclusive: boolean) => boolean
  readonly peerCredentials: (fd: number) => Credentials
  readonly close: (fd: number) => void
  readonly dieWithParent: (parent: number) => void
  readonly trimMemory: () => void
  readonly readTicks: () => readonly [ticks: bigint, ns: bigint] | undefined
  readonly watch: (fd: number, callback: (events: number) => void) => WatchHandle
  readonly watchEvents: (handle: WatchHandle, isWritableToo: boolean) => void
  readonly watchKeepsAlive: (handle: WatchHandle, isKept: boolean) => void
  readonly watchStop: (handle: WatchHandle) => void
}

const ADDON = fileURLToPath(new URL('../../native/build/fds.node', import.meta.url))

/** The bits of uv_poll_event. */
const READABLE = 1
const WRITABLE = 2

let loaded: Native | undefined

/**
 * Connects to a listening SOCK_SEQPACKET socket, at once or not at all.
 *
 * @param path  at most 107 bytes
 * @throws Error `ENOENT`, `ECONNREFUSED` (nobody listens), `EAGAIN` (its backlog is full), `EACCES`, `ENAMETOOLONG` …
 */
export function connectSeqpacket(path: string): number {
  return native().connectSeqpacket(path)
}

/**
 * Connects to a listening SOCK_STREAM socket, as `connectSeqpacket` does. For a peer that takes descriptors among its bytes:
 * to read and write, give the descriptor to a `net.Socket`, whose it then is, and `send` what has descriptors beside it.
 */
export function connectStream(path: string): number {
  return native().connectStream(path)
}

/**
 * Listens on a new socket file. For processes that do not get their sockets from a supervisor.
 *
 * @param mode  permissions of the socket file, such as `0o600`
 * @throws Error `EADDRINUSE` also when the file is a stale one: the caller knows whether it may be removed
 */
export function listenSeqpacket(path: string, mode: number): number {
  return native().listenSeqpacket(path, mode)
}

/** The next connection; `undefined` when none waits. */
export function acceptSeqpacket(listener: number): number | undefined {
  return native().acceptSeqpacket(listener)
}

/**
 * The next message; `undefined` when none is there yet, `'end'` when the peer is gone and all it sent was read.
 *
 * @param bytesMax  1–65,536; a longer message is lost, its descriptors closed
 * @throws Error `EMSGSIZE` for a longer message; `ECONNRESET`; `EMFILE` when this process has no room for the
 *   descriptors that came: all of them are closed, and the error has the message's bytes (`lostMessageBytes`)
 */
export function receive(fd: number, bytesMax: number): Message | 'end' | undefined {
  return native().receive(fd, bytesMax)
}

/** The bytes of a message whose descriptors could not be received, when that is what `receive` threw. */
export function lostMessageBytes(thrown: unknown): Buffer | undefined {
  if (!(thrown instanceof Error) || !('bytes' in thrown)) return undefined
  return Buffer.isBuffer(thrown.bytes) ? thrown.bytes : undefined
}

/**
 * Sends one message, whole or not at all (of a stream perhaps a part, when it is long). The descriptors stay open here: the receiver gets its own.
 *
 * @param fds  at most 253
 * @returns    false when the socket is full: try again when it is writable
 * @throws Error `EPIPE` or `ECONNRESET` when the peer is gone; `EMSGSIZE`
 */
export function send(fd: number, bytes: Uint8Array, fds?: readonly number[]): boolean {
  return native().send(fd, bytes, fds)
}

/** Locks the open file, unless somebody else's lock is in the way: then false. Closing every copy of `fd` unlocks. */
export function flock(fd: number, mode: 'exclusive' | 'shared'): boolean {
  return native().flock(fd, mode === 'exclusive')
}

/** Who connected, or who listened when we did (SO_PEERCRED): as they were at that moment. */
export function peerCredentials(fd: number): Credentials {
  return native().peerCredentials(fd)
}

export function close(fd: number): void {
  native().close(fd)
}

/**
 * Asks for SIGINT when `parent`, which started us, dies (PR_SET_PDEATHSIG), or now if it has died already.
 * A change of uid or gid forgets such a request: repeat it afterwards. Call it on the main thread.
 *
 * @param parent  `process.ppid` as it was when this process began
 */
export function dieWithParent(parent: number): void {
  native().dieWithParent(parent)
}

/**
 * Gives the kernel back what the C allocator holds free, also between what is in use (malloc_trim(3)). By itself it
 * returns only what is free at the end of its heap. Takes a millisecond or so; does nothing where the C library is another.
 */
export function trimMemory(): void {
  native().trimMemory()
}

/**
 * The processor's time stamp counter and CLOCK_MONOTONIC_RAW, of the same moment: two such readings tell how fast the counter is.
 * Undefined on processors that have none.
 */
export function readTicks(): readonly [ticks: bigint, ns: bigint] | undefined {
  return native().readTicks()
}

/**
 * Calls back whenever `fd` is readable, at its end or in error, until disposed. Level-triggered: what is left unread
 * calls back again, so a callback may stop after a share and let others have their turn.
 *
 * Dispose before closing `fd`. A descriptor can be watched once at a time.
 *
 * @throws Error `EPERM` for what cannot be waited for, such as a regular file; `EEXIST` when it is watched already
 */
export function watchReadable(fd: number, callback: () => void): Watch {
  return new Watch(fd, callback)
}

export class Watch implements Disposable {
  readonly #handle: WatchHandle
  readonly #onReadable: () => void
  #onWritable: (() => void) | undefined
  #isDisposed = false

  constructor(fd: number, onReadable: () => void) {
    this.#onReadable = onReadable
    this.#handle = native().watch(fd, (events) => this.#dispatch(events))
  }

  /** Calls back once, when `fd` is writable or in error. A second call replaces the first. */
  onceWritable(callback: () => void): void {
    this.#onWritable = callback
    native().watchEvents(this.#handle, true)
  }

  /** The process may end while this is watched. */
  unref(): void {
    native().watchKeepsAlive(this.#handle, false)
  }

  ref(): void {
    native().watchKeepsAlive(this.#handle, true)
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#onWritable = undefined
    native().watchStop(this.#handle)
  }

  #dispatch(events: number): void {
    const onWritable = this.#onWritable
    if ((events & WRITABLE) !== 0 && onWritable !== undefined) {
      this.#onWritable = undefined
      native().watchEvents(this.#handle, false)
      onWritable()
    }
    if ((events & READABLE) !== 0 && !this.#isDisposed) this.#onReadable()
  }
}

/** Loaded on first use, so that what needs no descriptors works without it. */
function native(): Native {
  loaded ??= load()
  return loaded
}

function load(): Native {
  if (!existsSync(ADDON)) {
    throw new QuiverError('failed_precondition', 'NATIVE_MISSING', `${ADDON} is missing`, {
      hint: 'Run "npm run build:native".',
    })
  }
  const addon: Native = createRequire(import.meta.url)(ADDON)
  return addon
}
