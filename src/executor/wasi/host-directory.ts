/**
 * A real folder of the machine.
 *
 * Node has no `openat`, but `/proc/self/fd/N/name` is the same: the kernel goes from the open directory N to one name in it. N is opened with
 * `O_PATH`, and a last name never followed, so whatever others rename or replace by links meanwhile, nothing outside can be reached. Only
 * regular files are opened: a pipe or a device could hold the thread, or do something by merely being opened.
 */

import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'

import type { FileType } from './abi.ts'
import type {
  DirectoryEntry,
  FileStat,
  OpenedFile,
  OpenRequest,
  Times,
  VirtualDirectory,
} from './directory.ts'
import { ERRNO, errnoOfThrown, fail } from './errno.ts'
import { accessOf, HostFile, pathOf, statOf, systemFlags, typeOf } from './host-file.ts'
import { setTimes } from './system-calls.ts'

/** Linux has it; Node does not name it. */
const O_PATH = 0o10000000
const OPEN_DIRECTORY = O_PATH | constants.O_DIRECTORY
const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const FILE_MODE = 0o666
/** More than that, and a guest gets `NOMEM` instead of a listing. */
const ENTRIES_MAX = 262_144

/**
 * Opens a folder for guests. It may be a link; what is in it is never followed outside.
 *
 * @throws the system's error, such as `ENOENT`
 */
export function openHostDirectory(
  path: string,
  options: { readonly isReadOnly: boolean },
): VirtualDirectory {
  return new HostDirectory(openSync(path, OPEN_DIRECTORY), { ...options, isRoot: true })
}

interface Traits {
  readonly isReadOnly: boolean
  /** Guests must not learn anything of its parent. */
  readonly isRoot: boolean
}

class HostDirectory implements VirtualDirectory {
  readonly #fd: number
  readonly #traits: Traits

  constructor(fd: number, traits: Traits) {
    this.#fd = fd
    this.#traits = traits
  }

  get isReadOnly(): boolean {
    return this.#traits.isReadOnly
  }

  stat(): FileStat {
    return statOf(fstatSync(this.#fd, { bigint: true }))
  }

  parentInode(): bigint {
    return this.#traits.isRoot ? this.stat().inode : this.statOf('..').inode
  }

  setTimes(times: Times): void {
    this.#assertWritable()
    setTimes(pathOf(this.#fd), times, true)
  }

  list(): readonly DirectoryEntry[] {
    using directory = opendirSync(pathOf(this.#fd))
    const entries: DirectoryEntry[] = []
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      if (entries.length === ENTRIES_MAX) fail(ERRNO.NOMEM)
      entries.push({ name: entry.name, type: typeOf(entry) })
    }
    return entries
  }

  duplicate(): VirtualDirectory {
    return new HostDirectory(openSync(pathOf(this.#fd), OPEN_DIRECTORY), this.#traits)
  }

  close(): void {
    closeSync(this.#fd)
  }

  typeOf(name: string): FileType | undefined {
    const stats = lstatSync(this.#path(name), { throwIfNoEntry: false })
    return stats && typeOf(stats)
  }

  statOf(name: string): FileStat {
    return statOf(lstatSync(this.#path(name), { bigint: true }))
  }

  setTimesOf(name: string, times: Times): void {
    this.#assertWritable()
    setTimes(this.#path(name), times, false)
  }

  enter(name: string): VirtualDirectory {
    return this.#below(openSync(this.#path(name), OPEN_DIRECTORY | constants.O_NOFOLLOW))
  }

  open(name: string, request: OpenRequest): OpenedFile {
    const isChange = request.write || request.truncate
    if (isChange) this.#assertWritable()
    if (!request.create) return this.#openExisting(name, request)
    if (!request.exclusive) {
      const type = this.typeOf(name)
      if (type !== undefined) return this.#openExisting(name, request)
    }
    this.#assertWritable()
    try {
      const flags = accessOf(request) | systemFlags(request.flags) | CREATE
      return {
        kind: 'file',
        file: new HostFile(openSync(this.#path(name), flags, FILE_MODE), request),
      }
    } catch (thrown) {
      // Somebody else made it just now.
      if (request.exclusive || errnoOfThrown(thrown) !== ERRNO.EXIST) throw thrown
      return this.#openExisting(name, request)
    }
  }

  readLink(name: string): string {
    return readlinkSync(this.#path(name))
  }

  makeDirectory(name: string): void {
    this.#assertWritable()
    mkdirSync(this.#path(name))
  }

  makeLink(name: string, target: string): void {
    this.#assertWritable()
    symlinkSync(target, this.#path(name))
  }

  remove(name: string): void {
    this.#assertWritable()
    unlinkSync(this.#path(name))
  }

  removeDirectory(name: string): void {
    this.#assertWritable()
    rmdirSync(this.#path(name))
  }

  linkTo(name: string, to: VirtualDirectory, toName: string): void {
    linkSync(this.#path(name), this.#target(to).#path(toName))
  }

  renameTo(name: string, to: VirtualDirectory, toName: string): void {
    renameSync(this.#path(name), this.#target(to).#path(toName))
  }

  /** Finds out what it is without opening it, and then opens that very file, whatever has the name by then. */
  #openExisting(name: string, request: OpenRequest): OpenedFile {
    const found = openSync(this.#path(name), O_PATH | constants.O_NOFOLLOW)
    let isKept = false
    try {
      const stats = fstatSync(found)
      if (stats.isSymbolicLink()) fail(ERRNO.LOOP)
      if (stats.isDirectory()) {
        if (request.write || request.truncate || request.create) fail(ERRNO.ISDIR)
        isKept = true
        return { kind: 'directory', directory: this.#below(found) }
      }
      if (!stats.isFile()) fail(ERRNO.NXIO)
      const truncate = request.truncate ? constants.O_TRUNC : 0
      const flags = accessOf(request) | systemFlags(request.flags) | truncate
      return { kind: 'file', file: new HostFile(openSync(pathOf(found), flags), request) }
    } finally {
      if (!isKept) closeSync(found)
    }
  }

  /** Where a link or a renaming goes to. Throws `XDEV` if it is of another kind, `ROFS` if one of them may not be changed. */
  #target(to: VirtualDirectory): HostDirectory {
    if (!(to instanceof HostDirectory)) return fail(ERRNO.XDEV)
    return this.isReadOnly || to.isReadOnly ? fail(ERRNO.ROFS) : to
  }

  #path(name: string): string {
    return `${pathOf(this.#fd)}/${name}`
  }

  #below(fd: number): HostDirectory {
    return new HostDirectory(fd, { isReadOnly: this.#traits.isReadOnly, isRoot: false })
  }

  #assertWritable(): void {
    if (this.#traits.isReadOnly) fail(ERRNO.ROFS)
  }
}
