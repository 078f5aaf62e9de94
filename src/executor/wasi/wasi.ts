/**
 * WASI preview 1 for one guest, which is one instance of a module: its
 * arguments, environment, standard streams, folders and clocks. Not the module
 * itself, nor limits of time and memory: those are the embedder's.
 *
 *     const wasi = new Wasi({ args: ['hello'], stdin, stdout, stderr, preopens: [{ name: '/data', directory }] })
 *     const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.imports(names) })
 *     wasi.bind(instance.exports.memory)
 *     try { await WebAssembly.promising(instance.exports._start)(); status = 0 }
 *     catch (thrown) { if (!(thrown instanceof WasiExit)) throw thrown; status = thrown.status }
 *     finally { wasi.close() }
 *
 * Making one is cheap, since each request makes one: `imports` binds only the functions it is asked for, and nothing is encoded, opened or
 * loaded before a guest asks for it. What may be shared by all guests of a module: the list of names, the preopened directories.
 */

import { RIGHTS_ALL, RIGHTS_CONNECTION, RIGHTS_LISTENER, UNSTABLE } from './abi.ts'
import { bindCall, CALL_NAMES, WAITING_CALLS, type HostFunction } from './calls.ts'
import type { GuestClock } from './clock.ts'
import {
  ConnectionDescriptor,
  DirectoryDescriptor,
  ListenerDescriptor,
  StreamDescriptor,
} from './descriptors.ts'
import type { VirtualDirectory } from './directory.ts'
import type { LinearMemory } from './guest-memory.ts'
import { DEFAULT_VERSION, Guest, type GuestSettings, type OpenSpecial } from './guest.ts'
import { buildMemoryDirectory } from './memory-directory.ts'
import type { Listener, SocketConnection } from './sockets.ts'
import type { ByteSink, ByteSource } from './streams.ts'

export { CALL_NAMES, WAITING_CALLS } from './calls.ts'
export { WasiExit } from './wasi-exit.ts'

/** The names under which guests import the functions. */
export type WasiModuleName = 'wasi_snapshot_preview1' | 'wasi_unstable'

export interface WasiOptions {
  /** The first is the name of the program. None by default. */
  readonly args?: readonly string[]
  /** The environment, nothing of the host's. Empty by default. */
  readonly env?: Readonly<Record<string, string>>
  /** At its end by default. */
  readonly stdin?: ByteSource
  /** By default everything is thrown away. */
  readonly stdout?: ByteSink
  readonly stderr?: ByteSink
  /**
   * Folders and the absolute names that the guest knows them by. Unless one of them is `/`, the guest also gets an empty `/`, so that its
   * C library can hand on any name.
   */
  readonly preopens?: readonly Preopen[]
  /** Descriptors behind the folders, in this order. */
  readonly sockets?: readonly (Listener | SocketConnection)[]
  /** How many descriptors the guest may have, these included; 1024 by default. */
  readonly fdsMax?: number
  /** A guest that makes more host calls in a second is ended; no limit by default. */
  readonly callsPerSecondMax?: number
  /**
   * Opens names such as `api://input` or `https://host/path`, however the guest's C library mangled their slashes. Called once for each
   * `path_open`; undefined falls through to the folders.
   */
  readonly openSpecial?: OpenSpecial
  readonly clock?: GuestClock
  /** Fills with random bytes; the system's by default. */
  readonly random?: (bytes: Uint8Array) => void
}

export interface Preopen {
  /** Such as `/data`. */
  readonly name: string
  /** Stays the embedder's: it is not closed when the guest closes it. */
  readonly directory: VirtualDirectory
}

const FDS_MAX = 1024
const LISTENER_RIGHTS = { base: RIGHTS_LISTENER, inheriting: RIGHTS_ALL }
const NO_STRINGS: readonly string[] = []
const NO_ENVIRONMENT: Readonly<Record<string, string>> = {}
const NO_PREOPENS: readonly Preopen[] = []
const EMPTY_ROOT = buildMemoryDirectory(new Map())
const AT_END: ByteSource = { read: () => null }
const THROWN_AWAY: ByteSink = { write: () => undefined }

export class Wasi {
  readonly #guest: Guest

  constructor(options: WasiOptions) {
    const settings: GuestSettings = {
      args: options.args ?? NO_STRINGS,
      env: options.env ?? NO_ENVIRONMENT,
      openSpecial: options.openSpecial,
      clock: options.clock,
      random: options.random,
      fdsMax: options.fdsMax ?? FDS_MAX,
      callsPerSecondMax: options.callsPerSecondMax ?? Infinity,
    }
    this.#guest = new Guest(settings)
    this.#open(options)
  }

  /**
   * The functions of those names for `WebAssembly.Instance`, the ones that may wait wrapped in `WebAssembly.Suspending`. The export that is
   * called must then be wrapped in `WebAssembly.promising`, even if nothing comes to wait: V8 throws a `SuspendError` otherwise. Names that
   * do not exist are left out; the module was checked against `CALL_NAMES`.
   */
  imports(
    names: readonly string[],
    module: WasiModuleName = 'wasi_snapshot_preview1',
  ): Record<string, WebAssembly.ImportValue> {
    const functions = this.functions(names, module)
    const imports: Record<string, WebAssembly.ImportValue> = {}
    for (const name of names) {
      const call = functions[name]
      if (call === undefined) continue
      imports[name] = WAITING_CALLS.has(name) ? new WebAssembly.Suspending(call) : call
    }
    return imports
  }

  /** The same, unwrapped: those in `WAITING_CALLS` may return a promise of their error number. */
  functions(
    names: readonly string[] = CALL_NAMES,
    module: WasiModuleName = 'wasi_snapshot_preview1',
  ): Record<string, HostFunction> {
    const version = module === 'wasi_unstable' ? UNSTABLE : DEFAULT_VERSION
    const abi = { guest: this.#guest, version }
    const functions: Record<string, HostFunction> = {}
    for (const name of names) {
      const call = bindCall(abi, name)
      if (call !== undefined) functions[name] = call
    }
    return functions
  }

  /** Gives it the guest's memory. Before that, every pointer is out of range. */
  bind(memory: LinearMemory): void {
    this.#guest.memory.bind(memory)
  }

  /**
   * Ends the guest from outside: what it waits for fails with `reason`, and so does every call it makes from here on.
   */
  stop(reason: Error): void {
    this.#guest.stop(reason)
  }

  /**
   * Closes the files that the guest left open and lets its memory go. To be called once it has ended, however it did. Streams and sockets are
   * not closed: whoever offered them knows that the guest has ended.
   */
  close(): void {
    this.#guest.stop(ENDED)
    for (const descriptor of this.#guest.descriptors.clear()) {
      if (descriptor.kind === 'file' || descriptor.kind === 'directory')
        void this.#guest.close(descriptor)
    }
  }

  #open(options: WasiOptions): void {
    const { descriptors } = this.#guest
    descriptors.add(new StreamDescriptor({ source: options.stdin ?? AT_END }))
    descriptors.add(new StreamDescriptor({ sink: options.stdout ?? THROWN_AWAY }))
    descriptors.add(new StreamDescriptor({ sink: options.stderr ?? THROWN_AWAY }))
    let hasRoot = false
    for (const { name, directory } of options.preopens ?? NO_PREOPENS) {
      descriptors.add(new DirectoryDescriptor(directory, name))
      hasRoot ||= name === '/'
    }
    if (!hasRoot) descriptors.add(new DirectoryDescriptor(EMPTY_ROOT, '/'))
    for (const socket of options.sockets ?? []) {
      descriptors.add(
        'accept' in socket
          ? new ListenerDescriptor(socket, LISTENER_RIGHTS)
          : new ConnectionDescriptor(socket, RIGHTS_CONNECTION, 0),
      )
    }
  }
}

/** What a call meets that a guest makes after it has ended. */
const ENDED = new Error('the guest has ended')
