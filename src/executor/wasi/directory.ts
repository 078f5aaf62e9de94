/**
 * What a file system must offer to be a folder of a guest: the contract of the
 * backends `host-directory.ts` (real folders) and `memory-directory.ts`.
 *
 * A backend sees single names, never paths: no slash, never empty, never `.` or
 * `..`. It never follows a symbolic link: `resolve.ts` walks paths, one name at
 * a time, and follows links itself. So no backend can be talked into leaving
 * its folder. All methods are synchronous and throw `WasiFailure` or a system
 * error; only `sync` may take time and returns a promise.
 */

import type { FileType } from './abi.ts'

export interface FileStat {
  readonly device: bigint
  readonly inode: bigint
  readonly type: FileType
  readonly links: bigint
  readonly bytes: bigint
  /** Nanoseconds since 1970. */
  readonly accessedNs: bigint
  readonly modifiedNs: bigint
  readonly changedNs: bigint
}

/** A time to set, in nanoseconds since 1970; undefined leaves what is there. */
export type NewTime = bigint | 'now' | undefined

export interface Times {
  readonly accessedNs: NewTime
  readonly modifiedNs: NewTime
}

export interface OpenRequest {
  readonly read: boolean
  readonly write: boolean
  readonly create: boolean
  /** With `create`: fail with `EXIST` if there is something of that name, a link included. */
  readonly exclusive: boolean
  readonly truncate: boolean
  /** Bits of `FD_FLAG`. */
  readonly flags: number
}

export interface DirectoryEntry {
  readonly name: string
  readonly type: FileType
}

/** An open file: positioned reads and writes; the position of a descriptor is kept by whoever holds it. */
export interface VirtualFile {
  stat(): FileStat
  /** Fills `target` from `position` on; how many bytes there were, 0 at the end. */
  read(target: Uint8Array, position: number): number
  /** Writes at `position`, or at the end if the file was opened to append, and gives the position behind what it wrote. */
  write(bytes: Uint8Array, position: number): { readonly written: number; readonly end: number }
  setSize(bytes: number): void
  /** Makes sure that the file has room for `bytes` at `offset`; it grows to hold them, and never shrinks. */
  allocate(offset: number, bytes: number): void
  setTimes(times: Times): void
  /** Bits of `FD_FLAG`. */
  setFlags(flags: number): void
  sync(dataOnly: boolean): Promise<void> | undefined
  close(): void
}

export interface VirtualDirectory {
  stat(): FileStat
  /** Inode of the parent, or its own where there is none that a guest may know. */
  parentInode(): bigint
  setTimes(times: Times): void
  /** Everything in it but `.` and `..`, in an order that stays the same while nothing changes. */
  list(): readonly DirectoryEntry[]
  /** The same directory, to be closed on its own. */
  duplicate(): VirtualDirectory
  /** Gives back what it holds. Not called for folders that belong to the embedder. */
  close(): void

  /** What `name` is; undefined if there is nothing. */
  typeOf(name: string): FileType | undefined
  statOf(name: string): FileStat
  setTimesOf(name: string, times: Times): void
  /** Opens a directory. Throws `NOTDIR` for anything else, links included. */
  enter(name: string): VirtualDirectory
  /** Opens a regular file, or a directory if it turns out to be one and nothing was to be written. Throws `LOOP` for a link. */
  open(name: string, request: OpenRequest): OpenedFile
  readLink(name: string): string
  makeDirectory(name: string): void
  makeLink(name: string, target: string): void
  /** Removes a file or a link. Throws `ISDIR` for a directory. */
  remove(name: string): void
  removeDirectory(name: string): void
  /** Gives `name` a second name in `to`, which may be of another backend: `XDEV`. Links are linked, not followed. */
  linkTo(name: string, to: VirtualDirectory, toName: string): void
  renameTo(name: string, to: VirtualDirectory, toName: string): void
  /** Whether files can be changed at all. */
  readonly isReadOnly: boolean
}

export type OpenedFile =
  | { readonly kind: 'file'; readonly file: VirtualFile }
  | { readonly kind: 'directory'; readonly directory: VirtualDirectory }
