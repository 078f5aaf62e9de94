/** What a guest of WASI 0.2 has open: files and folders, their streams and listings. */

import type { FileType } from '../wasi/abi.ts'
import type {
  DirectoryEntry,
  OpenedFile,
  VirtualDirectory,
  VirtualFile,
} from '../wasi/directory.ts'
import { ERRNO, fail } from '../wasi/errno.ts'
import { PATH_BYTES_MAX, resolve, type Following, type Place } from '../wasi/resolve.ts'

import { InputStream, OutputStream } from './io.ts'
import type { World } from './world.ts'

export const READ_BYTES_MAX = 1024n * 1024n

/** Bits of `descriptor-flags`, `path-flags` and `open-flags`. */
export const FLAG = { READ: 1, WRITE: 2, MUTATE: 32 } as const
const FOLLOW = 1
const OPEN = { CREATE: 1, DIRECTORY: 2, EXCLUSIVE: 4, TRUNCATE: 8 } as const

/** In the order of `FILE_TYPE`. */
const TYPES = [
  'unknown',
  'block-device',
  'character-device',
  'directory',
  'regular-file',
  'socket',
  'socket',
  'symbolic-link',
]

export class Descriptor {
  readonly flags: number
  readonly #opened: OpenedFile
  readonly #onUnused: () => void
  /** This handle, and the streams that were made of it. */
  #users = 1

  constructor(opened: OpenedFile, flags: number, onUnused: () => void) {
    this.#opened = opened
    this.flags = flags
    this.#onUnused = onUnused
  }

  get isDirectory(): boolean {
    return this.#opened.kind === 'directory'
  }

  get directory(): VirtualDirectory {
    return this.#opened.kind === 'directory' ? this.#opened.directory : fail(ERRNO.NOTDIR)
  }

  get file(): VirtualFile {
    return this.#opened.kind === 'file' ? this.#opened.file : fail(ERRNO.ISDIR)
  }

  get node(): VirtualDirectory | VirtualFile {
    return this.#opened.kind === 'file' ? this.#opened.file : this.#opened.directory
  }

  readable(): VirtualFile {
    return (this.flags & FLAG.READ) === 0 ? fail(ERRNO.BADF) : this.file
  }

  writable(): VirtualFile {
    return (this.flags & FLAG.WRITE) === 0 ? fail(ERRNO.BADF) : this.file
  }

  place(path: string, following: Following = 'never'): Place {
    if (Buffer.byteLength(path) > PATH_BYTES_MAX) fail(ERRNO.NAMETOOLONG)
    return resolve(this.directory, path, following)
  }

  /** The file stays open until `drop` was called once more: its number must not come to mean another file. */
  retain(): void {
    this.#users++
  }

  readonly drop = (): void => {
    this.#users--
    if (this.#users === 0) this.#onUnused()
  }
}

export class EntryStream {
  readonly #entries: Iterator<DirectoryEntry>

  constructor(entries: readonly DirectoryEntry[]) {
    this.#entries = entries[Symbol.iterator]()
  }

  next(): { readonly type: string; readonly name: string } | undefined {
    const { value, done } = this.#entries.next()
    return done === true ? undefined : { type: typeName(value.type), name: value.name }
  }
}

export function typeName(type: FileType): string {
  return TYPES[type] ?? 'unknown'
}

export function followingOf(pathFlags: number): Following {
  return (pathFlags & FOLLOW) === 0 ? 'slash' : 'always'
}

export function positionOf(offset: bigint): number {
  return offset > Number.MAX_SAFE_INTEGER ? fail(ERRNO.FBIG) : Number(offset)
}

export function openAt(
  world: World,
  parent: Descriptor,
  pathFlags: number,
  path: string,
  openFlags: number,
  flags: number,
): Descriptor {
  const has = (flag: number): boolean => (openFlags & flag) !== 0
  if (world.filesLeft === 0) fail(ERRNO.MFILE)
  // Flags ask for no more than the folder gives.
  const mutates = (flags & (FLAG.WRITE | FLAG.MUTATE)) !== 0 || has(OPEN.CREATE | OPEN.TRUNCATE)
  if (mutates && (parent.flags & FLAG.MUTATE) === 0) fail(ERRNO.ROFS)
  const isNew = has(OPEN.CREATE) && has(OPEN.EXCLUSIVE)
  using place = parent.place(path, isNew ? 'slash' : followingOf(pathFlags))
  const opened = openPlace(place, openFlags, flags)
  world.filesLeft--
  // Folders give what the folder around them gives.
  const given = opened.kind === 'file' ? flags : parent.flags
  return new Descriptor(opened, given, () => {
    world.filesLeft++
    if (opened.kind === 'file') opened.file.close()
    else opened.directory.close()
  })
}

function openPlace(place: Place, openFlags: number, flags: number): OpenedFile {
  const has = (flag: number): boolean => (openFlags & flag) !== 0
  const { directory, name, wantsDirectory } = place
  if (name !== undefined && !wantsDirectory && !has(OPEN.DIRECTORY)) {
    const write = (flags & FLAG.WRITE) !== 0
    return directory.open(name, {
      read: (flags & FLAG.READ) !== 0 || !write,
      write,
      create: has(OPEN.CREATE),
      exclusive: has(OPEN.EXCLUSIVE),
      truncate: has(OPEN.TRUNCATE),
      flags: 0,
    })
  }
  if (has(OPEN.CREATE)) fail(has(OPEN.DIRECTORY) ? ERRNO.INVAL : ERRNO.ISDIR)
  if (has(OPEN.TRUNCATE) || (flags & FLAG.WRITE) !== 0) fail(ERRNO.ISDIR)
  const entered = name === undefined ? directory.duplicate() : directory.enter(name)
  return { kind: 'directory', directory: entered }
}

export function readStream(descriptor: Descriptor, offset: bigint): InputStream {
  const file = descriptor.readable()
  let position = positionOf(offset)
  const read = (bytesMax: number): Uint8Array | null => {
    const bytes = new Uint8Array(Math.min(bytesMax, Number(READ_BYTES_MAX)))
    const count = file.read(bytes, position)
    position += count
    return count === 0 ? null : bytes.subarray(0, count)
  }
  descriptor.retain()
  return new InputStream({ read }, descriptor.drop)
}

/** @param offset  null: always the end of the file, wherever that is by then */
export function writeStream(descriptor: Descriptor, offset: bigint | null): OutputStream {
  const file = descriptor.writable()
  let position = offset === null ? 0 : positionOf(offset)
  const write = (bytes: Uint8Array): void => {
    if (offset === null) position = positionOf(file.stat().bytes)
    for (let at = 0; at < bytes.length;) {
      const { written, end } = file.write(bytes.subarray(at), position)
      at += written
      position = end
    }
  }
  descriptor.retain()
  return new OutputStream({ write }, descriptor.drop)
}
