/**
 * `wasi:filesystem` over the same folders as WASI preview 1: paths are resolved name by name, and nothing leads out of a
 * folder that was declared.
 */

import { createHash } from 'node:crypto'

import { Failure } from '../component/function-codec.ts'
import type { HostCall } from '../component/host.ts'
import { FILE_TYPE } from '../wasi/abi.ts'
import type { FileStat, NewTime, Times } from '../wasi/directory.ts'
import { ERRNO, errnoOfThrown, fail, nameOf } from '../wasi/errno.ts'
import type { Place } from '../wasi/resolve.ts'

import {
  Descriptor,
  EntryStream,
  FLAG,
  followingOf,
  openAt,
  positionOf,
  READ_BYTES_MAX,
  readStream,
  typeName,
  writeStream,
} from './descriptor.ts'
import type { IoError } from './io.ts'
import { datetime, type Datetime } from './system.ts'
import type { World } from './world.ts'

/** By the names of error numbers in preview 1; others are `io`. */
const ERROR_CODES: Readonly<Record<string, string>> = {
  ACCES: 'access',
  AGAIN: 'would-block',
  ALREADY: 'already',
  BADF: 'bad-descriptor',
  BUSY: 'busy',
  DEADLK: 'deadlock',
  DQUOT: 'quota',
  EXIST: 'exist',
  FBIG: 'file-too-large',
  ILSEQ: 'illegal-byte-sequence',
  INPROGRESS: 'in-progress',
  INTR: 'interrupted',
  INVAL: 'invalid',
  ISDIR: 'is-directory',
  LOOP: 'loop',
  MFILE: 'insufficient-memory',
  MLINK: 'too-many-links',
  MSGSIZE: 'message-size',
  NAMETOOLONG: 'name-too-long',
  NODEV: 'no-device',
  NOENT: 'no-entry',
  NOLCK: 'no-lock',
  NOMEM: 'insufficient-memory',
  NOSPC: 'insufficient-space',
  NOTDIR: 'not-directory',
  NOTEMPTY: 'not-empty',
  NOTRECOVERABLE: 'not-recoverable',
  NOTSUP: 'unsupported',
  NOTTY: 'no-tty',
  NXIO: 'no-such-device',
  OVERFLOW: 'overflow',
  PERM: 'not-permitted',
  NOTCAPABLE: 'not-permitted',
  PIPE: 'pipe',
  ROFS: 'read-only',
  SPIPE: 'invalid-seek',
  TXTBSY: 'text-file-busy',
  XDEV: 'cross-device',
}

function codeOf(thrown: unknown): string | undefined {
  const errno = errnoOfThrown(thrown)
  return errno === undefined ? undefined : (ERROR_CODES[nameOf(errno)] ?? 'io')
}

type FilesystemCall = { run(world: World, ...args: readonly unknown[]): unknown }['run']

function translate(thrown: unknown): never {
  const code = codeOf(thrown)
  throw code === undefined ? thrown : new Failure(code)
}

/** Error numbers become the interface's error codes; anything else ends the guest. */
function failing(call: FilesystemCall): HostCall<World> {
  return (world: World, ...args: readonly unknown[]) => {
    try {
      const result = call(world, ...args)
      return result instanceof Promise ? result.catch(translate) : result
    } catch (thrown) {
      return translate(thrown)
    }
  }
}

function statOf(stat: FileStat) {
  return {
    type: typeName(stat.type),
    'link-count': stat.links,
    size: stat.bytes,
    'data-access-timestamp': datetime(stat.accessedNs),
    'data-modification-timestamp': datetime(stat.modifiedNs),
    'status-change-timestamp': datetime(stat.changedNs),
  }
}

interface NewTimestamp {
  readonly tag: string
  readonly val?: Datetime
}

function timeOf({ tag, val }: NewTimestamp): NewTime {
  if (tag === 'now') return 'now'
  return val === undefined ? undefined : val.seconds * 1_000_000_000n + BigInt(val.nanoseconds)
}

function timesOf(accessed: NewTimestamp, modified: NewTimestamp): Times {
  return { accessedNs: timeOf(accessed), modifiedNs: timeOf(modified) }
}

/** The same for the same file as long as it is not changed, and nothing that tells more. */
function hashOf({ device, inode, bytes, modifiedNs }: FileStat) {
  const hash = createHash('sha256').update(`${device} ${inode} ${bytes} ${modifiedNs}`).digest()
  return { lower: hash.readBigUInt64LE(0), upper: hash.readBigUInt64LE(8) }
}

function statAt(descriptor: Descriptor, pathFlags: number, path: string): FileStat {
  using place = descriptor.place(path, followingOf(pathFlags))
  const { directory, name } = place
  const stat = name === undefined ? directory.stat() : directory.statOf(name)
  if (place.wantsDirectory && stat.type !== FILE_TYPE.DIRECTORY) fail(ERRNO.NOTDIR)
  return stat
}

/** A name that a slash follows can only be a directory's. */
function assertDirectoryIfSlash({ directory, name, wantsDirectory }: Place): void {
  if (!wantsDirectory || name === undefined) return
  const type = directory.typeOf(name) ?? fail(ERRNO.NOENT)
  if (type !== FILE_TYPE.DIRECTORY) fail(ERRNO.NOTDIR)
}

function nameIn(place: Place): string {
  if (place.name === undefined) return fail(ERRNO.EXIST)
  assertDirectoryIfSlash(place)
  return place.name
}

const METHODS: Readonly<Record<string, FilesystemCall>> = {
  'read-via-stream': (_world, it: Descriptor, offset: bigint) => readStream(it, offset),
  'write-via-stream': (_world, it: Descriptor, offset: bigint) => writeStream(it, offset),
  'append-via-stream': (_world, it: Descriptor) => writeStream(it, null),
  advise: () => undefined,
  'sync-data': (_world, it: Descriptor) => (it.isDirectory ? undefined : it.file.sync(true)),
  sync: (_world, it: Descriptor) => (it.isDirectory ? undefined : it.file.sync(false)),
  'get-flags': (_world, it: Descriptor) => it.flags,
  'get-type': (_world, it: Descriptor) => typeName(it.node.stat().type),
  'set-size': (_world, it: Descriptor, size: bigint) => it.writable().setSize(positionOf(size)),
  'set-times': (_world, it: Descriptor, accessed: NewTimestamp, modified: NewTimestamp) =>
    it.node.setTimes(timesOf(accessed, modified)),
  read: (_world, it: Descriptor, length: bigint, offset: bigint) => {
    const bytes = new Uint8Array(Number(length < READ_BYTES_MAX ? length : READ_BYTES_MAX))
    const count = it.readable().read(bytes, positionOf(offset))
    return [bytes.subarray(0, count), count === 0 && length > 0n]
  },
  write: (_world, it: Descriptor, bytes: Uint8Array, offset: bigint) =>
    BigInt(it.writable().write(bytes, positionOf(offset)).written),
  'read-directory': (_world, it: Descriptor) => new EntryStream(it.directory.list()),
  'create-directory-at': (_world, it: Descriptor, path: string) => {
    using place = it.place(path)
    place.directory.makeDirectory(place.name ?? fail(ERRNO.EXIST))
  },
  stat: (_world, it: Descriptor) => statOf(it.node.stat()),
  'stat-at': (_world, it: Descriptor, pathFlags: number, path: string) =>
    statOf(statAt(it, pathFlags, path)),
  'set-times-at': (
    _world,
    it: Descriptor,
    pathFlags: number,
    path: string,
    accessed: NewTimestamp,
    modified: NewTimestamp,
  ) => {
    using place = it.place(path, followingOf(pathFlags))
    assertDirectoryIfSlash(place)
    const times = timesOf(accessed, modified)
    if (place.name === undefined) place.directory.setTimes(times)
    else place.directory.setTimesOf(place.name, times)
  },
  'link-at': (
    _world,
    it: Descriptor,
    pathFlags: number,
    path: string,
    target: Descriptor,
    newPath: string,
  ) => {
    using from = it.place(path, followingOf(pathFlags))
    using to = target.place(newPath)
    assertDirectoryIfSlash(from)
    from.directory.linkTo(from.name ?? fail(ERRNO.PERM), to.directory, nameIn(to))
  },
  'open-at': openAt,
  'readlink-at': (_world, it: Descriptor, path: string) => {
    using place = it.place(path, 'slash')
    assertDirectoryIfSlash(place)
    return place.directory.readLink(place.name ?? fail(ERRNO.INVAL))
  },
  'remove-directory-at': (_world, it: Descriptor, path: string) => {
    using place = it.place(path)
    place.directory.removeDirectory(place.name ?? fail(ERRNO.INVAL))
  },
  'rename-at': (_world, it: Descriptor, path: string, target: Descriptor, newPath: string) => {
    using from = it.place(path)
    using to = target.place(newPath)
    const name = from.name ?? fail(ERRNO.BUSY)
    const newName = to.name ?? fail(ERRNO.BUSY)
    assertDirectoryIfSlash(from)
    if (to.wantsDirectory && from.directory.typeOf(name) !== FILE_TYPE.DIRECTORY) fail(ERRNO.NOTDIR)
    from.directory.renameTo(name, to.directory, newName)
  },
  'symlink-at': (_world, it: Descriptor, target: string, path: string) => {
    if (target === '') fail(ERRNO.NOENT)
    // It could only ever be refused.
    if (target.startsWith('/')) fail(ERRNO.PERM)
    using place = it.place(path)
    place.directory.makeLink(nameIn(place), target)
  },
  'unlink-file-at': (_world, it: Descriptor, path: string) => {
    using place = it.place(path)
    assertDirectoryIfSlash(place)
    place.directory.remove(place.name ?? fail(ERRNO.ISDIR))
  },
  'metadata-hash': (_world, it: Descriptor) => hashOf(it.node.stat()),
  'metadata-hash-at': (_world, it: Descriptor, pathFlags: number, path: string) =>
    hashOf(statAt(it, pathFlags, path)),
}

export const FILESYSTEM_TYPES: Readonly<Record<string, HostCall<World>>> = {
  ...Object.fromEntries(
    Object.entries(METHODS).map(([name, call]) => [`[method]descriptor.${name}`, failing(call)]),
  ),
  '[method]descriptor.is-same-object': (_world, it: Descriptor, other: Descriptor) => {
    const [a, b] = [it.node.stat(), other.node.stat()]
    return a.device === b.device && a.inode === b.inode
  },
  '[method]directory-entry-stream.read-directory-entry': (_world, entries: EntryStream) =>
    entries.next(),
  'filesystem-error-code': (_world, error: IoError) => codeOf(error.cause),
}

export const PREOPENS: Readonly<Record<string, HostCall<World>>> = {
  'get-directories': ({ preopens }) =>
    preopens.map(({ name, directory }) => {
      const flags = directory.isReadOnly ? FLAG.READ : FLAG.READ | FLAG.MUTATE
      // The folder is the embedder's.
      return [new Descriptor({ kind: 'directory', directory }, flags, () => {}), name]
    }),
}
