/** `path_open`: files and directories, and what the embedder opens under names of its own, such as `api://input`. */

import { QuiverError, type Code } from '../../core/error.ts'

import {
  FD_FLAG,
  FD_FLAGS_ALL,
  FILE_TYPE,
  OPEN_FLAG,
  OPEN_FLAGS_ALL,
  RIGHT,
  RIGHTS_ALL,
  RIGHTS_DIRECTORY,
  RIGHTS_FILE,
} from './abi.ts'
import {
  DirectoryDescriptor,
  FileDescriptor,
  StreamDescriptor,
  type Descriptor,
} from './descriptors.ts'
import type { OpenRequest } from './directory.ts'
import { ERRNO, fail, type Errno } from './errno.ts'
import { assertRight, type Abi, type Guest } from './guest.ts'
import { followingOf } from './path-calls.ts'
import { PATH_BYTES_MAX, resolve, type Following, type Place } from './resolve.ts'
import type { Stream } from './streams.ts'

/** C libraries hand names on as they are, others collapse slashes or put some before: all of these mean the same. */
const SPECIAL = /^(?:\.?\/+)*([a-z][a-z0-9+.-]*):\/+(.*)$/is

/** Rights that go without saying for something special; reading and writing must be asked for. */
const RIGHTS_SPECIAL = RIGHT.FD_FILESTAT_GET | RIGHT.FD_FDSTAT_SET_FLAGS | RIGHT.POLL_FD_READWRITE

const REFUSALS: { readonly [code in Code]?: Errno } = {
  not_found: ERRNO.NOENT,
  permission_denied: ERRNO.ACCES,
  invalid_argument: ERRNO.INVAL,
  unavailable: ERRNO.IO,
}

const RIGHTS_TO_WRITE = RIGHT.FD_WRITE | RIGHT.FD_ALLOCATE | RIGHT.FD_FILESTAT_SET_SIZE

/** What a guest asks of `path_open`. */
interface Call {
  readonly folder: DirectoryDescriptor
  readonly path: string
  readonly lookup: number
  readonly openFlags: number
  readonly flags: number
  readonly base: number
  readonly inheriting: number
  /** Where the number of the new descriptor goes. */
  readonly result: number
}

export function pathOpen(
  { guest }: Abi,
  fd: number,
  lookup: number,
  path: number,
  length: number,
  openFlags: number,
  base: bigint,
  inheriting: bigint,
  flags: number,
  result: number,
): number | Promise<number> {
  guest.memory.check(result, 4)
  const folder = guest.directory(fd, RIGHT.PATH_OPEN)
  const text = guest.memory.text(path, length, PATH_BYTES_MAX)
  const rights = { base: rightsOf(base), inheriting: rightsOf(inheriting) }
  const call: Call = { folder, path: text, lookup, openFlags, flags, ...rights, result }
  if (openFlags >>> 0 > OPEN_FLAGS_ALL || flags >>> 0 > FD_FLAGS_ALL) return ERRNO.INVAL
  guest.descriptors.room()

  const stream = openSpecial(guest, call)
  if (stream instanceof Promise) return addLater(guest, call, stream)
  return stream === undefined ? addPath(guest, call) : addStream(guest, call, stream)
}

/** Bits that are not defined are none that could be asked for. */
function rightsOf(bits: bigint): number {
  return Number(BigInt.asUintN(64, bits) & BigInt(RIGHTS_ALL))
}

function openSpecial(
  guest: Guest,
  { folder, path, base }: Call,
): Stream | undefined | Promise<Stream | undefined> {
  const { openSpecial: open } = guest.settings
  if (open === undefined || folder.preopenName === undefined) return undefined
  const [, scheme, rest] = SPECIAL.exec(path) ?? []
  if (scheme === undefined || rest === undefined) return undefined
  const request = { read: (base & RIGHT.FD_READ) !== 0, write: (base & RIGHT.FD_WRITE) !== 0 }
  try {
    const opened = open(`${scheme.toLowerCase()}://${rest}`, request)
    return opened instanceof Promise ? opened.catch(refused) : opened
  } catch (thrown) {
    return refused(thrown)
  }
}

/** What a guest is told of a name that the embedder refuses. Any other failure ends the guest. */
function refused(thrown: unknown): never {
  const errno = thrown instanceof QuiverError ? REFUSALS[thrown.code] : undefined
  if (errno === undefined) throw thrown
  return fail(errno)
}

async function addLater(
  guest: Guest,
  call: Call,
  opening: Promise<Stream | undefined>,
): Promise<number> {
  const stream = await opening
  return stream === undefined ? addPath(guest, call) : addStream(guest, call, stream)
}

function addStream(guest: Guest, call: Call, stream: Stream): number {
  return add(guest, new StreamDescriptor(stream, call.base | RIGHTS_SPECIAL), call.result)
}

function addPath(guest: Guest, call: Call): number {
  assertRights(call)
  using place = resolve(call.folder.directory, call.path, followingFor(call))
  return add(guest, openPlace(place, call), call.result)
}

function add(guest: Guest, descriptor: Descriptor, result: number): number {
  guest.memory.setU32(result, guest.descriptors.add(descriptor))
  return ERRNO.SUCCESS
}

/** Throws `NOTCAPABLE` unless the folder may do what is asked, and pass on the rights that are asked for. */
function assertRights({ folder, openFlags, flags, base, inheriting }: Call): void {
  const creates = (openFlags & OPEN_FLAG.CREAT) === 0 ? 0 : RIGHT.PATH_CREATE_FILE
  const truncates = (openFlags & OPEN_FLAG.TRUNC) === 0 ? 0 : RIGHT.PATH_FILESTAT_SET_SIZE
  assertRight(folder.base, creates | truncates)
  const syncs = (flags & (FD_FLAG.SYNC | FD_FLAG.RSYNC)) === 0 ? 0 : RIGHT.FD_SYNC
  const datasyncs = (flags & FD_FLAG.DSYNC) === 0 ? 0 : RIGHT.FD_DATASYNC
  assertRight(folder.inheriting, base | inheriting | syncs | datasyncs)
}

/** What must not exist is not looked for behind a link. */
function followingFor({ openFlags, lookup }: Call): Following {
  const isNew = OPEN_FLAG.CREAT | OPEN_FLAG.EXCL
  return (openFlags & isNew) === isNew ? 'slash' : followingOf(lookup)
}

function openPlace(place: Place, call: Call): Descriptor {
  const request = requestOf(call)
  const wantsDirectory = place.wantsDirectory || (call.openFlags & OPEN_FLAG.DIRECTORY) !== 0
  if (place.name === undefined || wantsDirectory) return openDirectory(place, call)
  const opened = place.directory.open(place.name, request)
  if (opened.kind === 'directory') {
    return new DirectoryDescriptor(opened.directory, undefined, directoryRights(call))
  }
  const rights = { base: call.base & RIGHTS_FILE, inheriting: call.inheriting }
  return new FileDescriptor(opened.file, rights, call.flags)
}

function openDirectory({ directory, name }: Place, call: Call): DirectoryDescriptor {
  const has = (flag: number) => (call.openFlags & flag) !== 0
  const type = name === undefined ? FILE_TYPE.DIRECTORY : directory.typeOf(name)
  if (has(OPEN_FLAG.CREAT)) {
    if (has(OPEN_FLAG.EXCL) && type !== undefined) fail(ERRNO.EXIST)
    fail(has(OPEN_FLAG.DIRECTORY) ? ERRNO.INVAL : ERRNO.ISDIR)
  }
  if (type === undefined) fail(ERRNO.NOENT)
  if (type === FILE_TYPE.SYMBOLIC_LINK) fail(ERRNO.LOOP)
  if (type !== FILE_TYPE.DIRECTORY) fail(ERRNO.NOTDIR)
  // Other rights that only files have are left out of what the guest gets.
  if ((call.base & RIGHT.FD_WRITE) !== 0 || has(OPEN_FLAG.TRUNC)) fail(ERRNO.ISDIR)
  const opened = name === undefined ? directory.duplicate() : directory.enter(name)
  return new DirectoryDescriptor(opened, undefined, directoryRights(call))
}

function directoryRights({ base, inheriting }: Call): { base: number; inheriting: number } {
  return { base: base & RIGHTS_DIRECTORY, inheriting }
}

function requestOf({ base, openFlags, flags }: Call): OpenRequest {
  const write = (base & RIGHTS_TO_WRITE) !== 0
  return {
    read: (base & RIGHT.FD_READ) !== 0 || !write,
    write,
    create: (openFlags & OPEN_FLAG.CREAT) !== 0,
    exclusive: (openFlags & OPEN_FLAG.EXCL) !== 0,
    truncate: (openFlags & OPEN_FLAG.TRUNC) !== 0,
    flags,
  }
}
