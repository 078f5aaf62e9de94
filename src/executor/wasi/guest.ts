/**
 * One running guest as the host functions see it: its memory, what it has open, what it was given, and whether it has ended.
 *
 * The functions themselves are in `*-calls.ts`, by noun; `wasi.ts` hands them to a module.
 */

import { CallRate } from '../call-rate.ts'
import { trap } from '../trap.ts'

import { PREVIEW1, type AbiVersion } from './abi.ts'
import { SYSTEM_CLOCK, type GuestClock } from './clock.ts'
import {
  DescriptorTable,
  type Descriptor,
  type DirectoryDescriptor,
  type FileDescriptor,
} from './descriptors.ts'
import { ERRNO, errnoOfThrown, fail } from './errno.ts'
import { GuestMemory } from './guest-memory.ts'
import type { Reader, Stream } from './streams.ts'

/** What is asked of something opened by a name that is not a path. */
export interface SpecialRequest {
  readonly read: boolean
  readonly write: boolean
}

/** Opens `scheme://rest`; undefined if there is no such thing. May throw a system error, such as `EACCES`, or a `QuiverError` that says so. */
export type OpenSpecial = (
  name: string,
  request: SpecialRequest,
) => Stream | undefined | Promise<Stream | undefined>

export interface GuestSettings {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly openSpecial: OpenSpecial | undefined
  readonly clock: GuestClock | undefined
  readonly random: ((bytes: Uint8Array) => void) | undefined
  readonly fdsMax: number
  readonly callsPerSecondMax: number
}

/** The longest that Node's timers can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** A guest waits for one thing at a time, since it has one thread. */
export interface Wait {
  readonly readers: readonly Reader[]
  /** For at most this long; undefined for as long as it takes. */
  readonly durationMs: number | undefined
}

export class Guest {
  readonly memory = new GuestMemory()
  readonly descriptors: DescriptorTable
  readonly settings: GuestSettings
  readonly clock: GuestClock
  readonly #calls: CallRate
  #stopped: { readonly by: unknown } | undefined
  #cancelWait: ((reason: unknown) => void) | undefined

  constructor(settings: GuestSettings) {
    this.settings = settings
    this.clock = settings.clock ?? SYSTEM_CLOCK
    this.descriptors = new DescriptorTable(settings.fdsMax)
    this.#calls = new CallRate(settings.callsPerSecondMax)
  }

  /** A call begins. Throws what ended the guest, if it has ended; ends it when its calls are too many. */
  enter(): void {
    this.assertRunning()
    const excess = this.#calls.count()
    if (excess !== null) trap(excess)
  }

  /** Throws what ended the guest, if it has ended: a guest may catch exceptions, but not go on. */
  assertRunning(): void {
    if (this.#stopped !== undefined) throw this.#stopped.by
  }

  /** Ends the guest: its memory is let go, a wait is broken off, and every further call throws `by`. */
  stop(by: unknown): void {
    if (this.#stopped !== undefined) return
    this.#stopped = { by }
    this.memory.release()
    this.#cancelWait?.(by)
  }

  /** The guest's answer to what a host function threw: an error number, or its end. */
  failed(thrown: unknown): number {
    this.assertRunning()
    const errno = errnoOfThrown(thrown)
    if (errno !== undefined) return errno
    this.stop(thrown)
    throw thrown
  }

  /** Throws `BADF`, `NOTCAPABLE`. */
  descriptor(fd: number, right: number): Descriptor {
    const descriptor = this.descriptors.get(fd)
    assertRight(descriptor.base, right)
    return descriptor
  }

  /** Throws `BADF`, `NOTDIR`, `NOTCAPABLE`. */
  directory(fd: number, right: number): DirectoryDescriptor {
    const descriptor = this.descriptors.get(fd)
    if (descriptor.kind !== 'directory') return fail(ERRNO.NOTDIR)
    assertRight(descriptor.base, right)
    return descriptor
  }

  /** Something with a position. Throws `BADF`, `ISDIR`, `SPIPE`, `NOTCAPABLE`. */
  file(fd: number, right: number): FileDescriptor {
    const descriptor = this.descriptors.get(fd)
    if (descriptor.kind === 'directory') return fail(ERRNO.ISDIR)
    if (descriptor.kind !== 'file') return fail(ERRNO.SPIPE)
    assertRight(descriptor.base, right)
    return descriptor
  }

  /** Closes what was taken out of the table. What the embedder declared stays open: others use it too. */
  close(descriptor: Descriptor): void | Promise<void> {
    switch (descriptor.kind) {
      case 'file':
        return descriptor.file.close()
      case 'directory':
        return descriptor.preopenName === undefined ? descriptor.directory.close() : undefined
      case 'stream':
        return closeStream(descriptor)
      case 'connection':
        return descriptor.connection.close()
      case 'listener':
        return descriptor.listener.close?.()
    }
  }

  /** Resolves when a reader has read ahead or the time is over; rejects when the guest is stopped. */
  async wait(wait: Wait): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const ms =
      wait.durationMs === undefined ? TIMER_MS_MAX : Math.min(wait.durationMs, TIMER_MS_MAX)
    const timer = setTimeout(resolve, ms)
    for (const reader of wait.readers) reader.onReady(resolve)
    this.#cancelWait = reject
    try {
      await promise
    } finally {
      this.#cancelWait = undefined
      clearTimeout(timer)
      for (const reader of wait.readers) reader.onReady(undefined)
    }
  }
}

/** A guest through one of the two versions of the interface. */
export interface Abi {
  readonly guest: Guest
  readonly version: AbiVersion
}

export const DEFAULT_VERSION = PREVIEW1

/** Throws `NOTCAPABLE` unless all bits of `wanted` are in `rights`. */
export function assertRight(rights: number, wanted: number): void {
  if ((rights & wanted) !== wanted) fail(ERRNO.NOTCAPABLE)
}

function closeStream(stream: {
  readonly reader: Reader | undefined
  readonly sink: Stream['sink']
}): void | Promise<void> {
  const [source, sink] = [stream.reader?.close(), stream.sink?.close?.()]
  const isSlow = source instanceof Promise || sink instanceof Promise
  return isSlow ? settleBoth(Promise.resolve(source), Promise.resolve(sink)) : undefined
}

async function settleBoth(first: Promise<void>, second: Promise<void>): Promise<void> {
  await Promise.all([first, second])
}
