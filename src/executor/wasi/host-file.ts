/** An open regular file of a real folder. */

import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import type { BigIntStats } from 'node:fs'

import { FD_FLAG, FILE_TYPE, type FileType } from './abi.ts'
import type { FileStat, OpenRequest, Times, VirtualFile } from './directory.ts'
import { allocate, setTimes } from './system-calls.ts'

export class HostFile implements VirtualFile {
  #fd: number
  #flags: number
  /** `O_RDONLY`, `O_WRONLY` or `O_RDWR`. */
  readonly #access: number

  constructor(fd: number, request: OpenRequest) {
    this.#fd = fd
    this.#flags = request.flags
    this.#access = accessOf(request)
  }

  stat(): FileStat {
    return statOf(fstatSync(this.#fd, { bigint: true }))
  }

  read(target: Uint8Array, position: number): number {
    return readSync(this.#fd, target, 0, target.byteLength, position)
  }

  write(bytes: Uint8Array, position: number): { readonly written: number; readonly end: number } {
    const appends = (this.#flags & FD_FLAG.APPEND) !== 0
    const written = writeSync(this.#fd, bytes, 0, bytes.byteLength, appends ? null : position)
    return { written, end: appends ? fstatSync(this.#fd).size : position + written }
  }

  setSize(bytes: number): void {
    ftruncateSync(this.#fd, bytes)
  }

  allocate(offset: number, bytes: number): void {
    allocate(this.#fd, offset, bytes)
  }

  setTimes(times: Times): void {
    setTimes(pathOf(this.#fd), times, true)
  }

  /** Node cannot change the flags of a descriptor, so the same file is opened again. */
  setFlags(flags: number): void {
    if (systemFlags(flags) !== systemFlags(this.#flags)) {
      const fd = openSync(pathOf(this.#fd), this.#access | systemFlags(flags))
      closeSync(this.#fd)
      this.#fd = fd
    }
    this.#flags = flags
  }

  sync(dataOnly: boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sync = dataOnly ? fdatasync : fsync
    sync(this.#fd, (error) => (error === null ? resolve() : reject(error)))
    return promise
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** A path that leads to whatever a descriptor of ours refers to, and to nothing else. */
export function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

/** Flags for `open`, without those that create or truncate. */
export function accessOf({ read, write, truncate }: OpenRequest): number {
  if (!write && !truncate) return constants.O_RDONLY
  return read ? constants.O_RDWR : constants.O_WRONLY
}

export function systemFlags(flags: number): number {
  const has = (flag: number) => (flags & flag) !== 0
  return (
    (has(FD_FLAG.APPEND) ? constants.O_APPEND : 0) |
    (has(FD_FLAG.DSYNC) ? constants.O_DSYNC : 0) |
    // Linux has no O_RSYNC of its own.
    (has(FD_FLAG.SYNC) || has(FD_FLAG.RSYNC) ? constants.O_SYNC : 0)
  )
}

export function statOf(stats: BigIntStats): FileStat {
  return {
    device: stats.dev,
    inode: stats.ino,
    type: typeOf(stats),
    links: stats.nlink,
    bytes: stats.size,
    accessedNs: stats.atimeNs,
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
  }
}

/** Of anything that knows what it is: metadata or an entry of a directory. */
export function typeOf(known: {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isCharacterDevice(): boolean
  isBlockDevice(): boolean
  isSocket(): boolean
}): FileType {
  if (known.isFile()) return FILE_TYPE.REGULAR_FILE
  if (known.isDirectory()) return FILE_TYPE.DIRECTORY
  if (known.isSymbolicLink()) return FILE_TYPE.SYMBOLIC_LINK
  if (known.isCharacterDevice()) return FILE_TYPE.CHARACTER_DEVICE
  if (known.isBlockDevice()) return FILE_TYPE.BLOCK_DEVICE
  return known.isSocket() ? FILE_TYPE.SOCKET_STREAM : FILE_TYPE.UNKNOWN
}
