/** Host functions that take paths. Each path is resolved to a directory and one name in it before anything is done. */

import { FILE_TYPE, LOOKUP_SYMLINK_FOLLOW, RIGHT } from './abi.ts'
import { ERRNO, fail } from './errno.ts'
import { putStat, timesOf } from './fd-calls.ts'
import type { Abi, Guest } from './guest.ts'
import { PATH_BYTES_MAX, resolve, type Following, type Place } from './resolve.ts'

export function pathCreateDirectory(
  { guest }: Abi,
  fd: number,
  path: number,
  length: number,
): number {
  using place = placeOf(guest, { fd, right: RIGHT.PATH_CREATE_DIRECTORY, path, length })
  if (place.name === undefined) return ERRNO.EXIST
  place.directory.makeDirectory(place.name)
  return ERRNO.SUCCESS
}

export function pathFilestatGet(
  abi: Abi,
  fd: number,
  lookup: number,
  path: number,
  length: number,
  result: number,
): number {
  abi.guest.memory.check(result, abi.version.filestatBytes)
  const following = followingOf(lookup)
  using place = placeOf(abi.guest, { fd, right: RIGHT.PATH_FILESTAT_GET, path, length, following })
  const { directory, name } = place
  const stat = name === undefined ? directory.stat() : directory.statOf(name)
  if (place.wantsDirectory && stat.type !== FILE_TYPE.DIRECTORY) return ERRNO.NOTDIR
  return putStat(abi, result, stat)
}

export function pathFilestatSetTimes(
  { guest }: Abi,
  fd: number,
  lookup: number,
  path: number,
  length: number,
  accessedNs: bigint,
  modifiedNs: bigint,
  flags: number,
): number {
  const times = timesOf(accessedNs, modifiedNs, flags)
  const following = followingOf(lookup)
  using place = placeOf(guest, {
    fd,
    right: RIGHT.PATH_FILESTAT_SET_TIMES,
    path,
    length,
    following,
  })
  const { directory, name } = place
  if (name === undefined) directory.setTimes(times)
  else {
    assertIsWhatSlashSays(place)
    directory.setTimesOf(name, times)
  }
  return ERRNO.SUCCESS
}

export function pathLink(
  { guest }: Abi,
  oldFd: number,
  oldLookup: number,
  oldPath: number,
  oldLength: number,
  newFd: number,
  newPath: number,
  newLength: number,
): number {
  using from = placeOf(guest, {
    fd: oldFd,
    right: RIGHT.PATH_LINK_SOURCE,
    path: oldPath,
    length: oldLength,
    following: followingOf(oldLookup),
  })
  using to = placeOf(guest, {
    fd: newFd,
    right: RIGHT.PATH_LINK_TARGET,
    path: newPath,
    length: newLength,
  })
  if (from.name === undefined) return ERRNO.PERM
  assertIsWhatSlashSays(from)
  from.directory.linkTo(from.name, to.directory, newNameOf(to))
  return ERRNO.SUCCESS
}

export function pathReadlink(
  { guest }: Abi,
  fd: number,
  path: number,
  length: number,
  buffer: number,
  bufferLength: number,
  result: number,
): number {
  const room = guest.memory.range(buffer, bufferLength)
  guest.memory.check(result, 4)
  using place = placeOf(guest, { fd, right: RIGHT.PATH_READLINK, path, length, following: 'slash' })
  if (place.name === undefined) return ERRNO.INVAL
  assertIsWhatSlashSays(place)
  const bytes = Buffer.from(place.directory.readLink(place.name)).subarray(0, room.byteLength)
  room.set(bytes)
  guest.memory.setU32(result, bytes.byteLength)
  return ERRNO.SUCCESS
}

export function pathRemoveDirectory(
  { guest }: Abi,
  fd: number,
  path: number,
  length: number,
): number {
  using place = placeOf(guest, { fd, right: RIGHT.PATH_REMOVE_DIRECTORY, path, length })
  if (place.name === undefined) return ERRNO.INVAL
  place.directory.removeDirectory(place.name)
  return ERRNO.SUCCESS
}

export function pathRename(
  { guest }: Abi,
  oldFd: number,
  oldPath: number,
  oldLength: number,
  newFd: number,
  newPath: number,
  newLength: number,
): number {
  using from = placeOf(guest, {
    fd: oldFd,
    right: RIGHT.PATH_RENAME_SOURCE,
    path: oldPath,
    length: oldLength,
  })
  using to = placeOf(guest, {
    fd: newFd,
    right: RIGHT.PATH_RENAME_TARGET,
    path: newPath,
    length: newLength,
  })
  if (from.name === undefined || to.name === undefined) return ERRNO.BUSY
  assertIsWhatSlashSays(from)
  const isFile = to.wantsDirectory && from.directory.typeOf(from.name) !== FILE_TYPE.DIRECTORY
  if (isFile) return ERRNO.NOTDIR
  from.directory.renameTo(from.name, to.directory, to.name)
  return ERRNO.SUCCESS
}

export function pathSymlink(
  { guest }: Abi,
  oldPath: number,
  oldLength: number,
  fd: number,
  newPath: number,
  newLength: number,
): number {
  const target = guest.memory.text(oldPath, oldLength, PATH_BYTES_MAX)
  using place = placeOf(guest, { fd, right: RIGHT.PATH_SYMLINK, path: newPath, length: newLength })
  if (target === '') return ERRNO.NOENT
  // It could only ever be refused.
  if (target.startsWith('/')) return ERRNO.PERM
  place.directory.makeLink(newNameOf(place), target)
  return ERRNO.SUCCESS
}

export function pathUnlinkFile({ guest }: Abi, fd: number, path: number, length: number): number {
  using place = placeOf(guest, { fd, right: RIGHT.PATH_UNLINK_FILE, path, length })
  if (place.name === undefined) return ERRNO.ISDIR
  assertIsWhatSlashSays(place)
  place.directory.remove(place.name)
  return ERRNO.SUCCESS
}

export function followingOf(lookup: number): Following {
  return (lookup & LOOKUP_SYMLINK_FOLLOW) === 0 ? 'slash' : 'always'
}

interface PathArgument {
  readonly fd: number
  readonly right: number
  readonly path: number
  readonly length: number
  readonly following?: Following
}

function placeOf(guest: Guest, argument: PathArgument): Place {
  const { directory } = guest.directory(argument.fd, argument.right)
  const path = guest.memory.text(argument.path, argument.length, PATH_BYTES_MAX)
  return resolve(directory, path, argument.following ?? 'never')
}

/** Throws `NOENT` or `NOTDIR` if a slash follows the name of something that is no directory. */
function assertIsWhatSlashSays({ directory, name, wantsDirectory }: Place): void {
  if (!wantsDirectory || name === undefined) return
  const type = directory.typeOf(name) ?? fail(ERRNO.NOENT)
  if (type !== FILE_TYPE.DIRECTORY) fail(ERRNO.NOTDIR)
}

/** The name of a file or link to be made. Throws `EXIST`; `NOENT` and `NOTDIR` if a slash follows it. */
function newNameOf(place: Place): string {
  if (place.name === undefined) return fail(ERRNO.EXIST)
  assertIsWhatSlashSays(place)
  return place.name
}
