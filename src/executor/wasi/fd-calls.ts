/** Host functions about descriptors themselves: closing, flags, rights, metadata, preopened folders, listing. */

import {
  DIRENT_BYTES,
  FD_FLAGS_ALL,
  FDSTAT_BYTES,
  FILE_TYPE,
  PRESTAT_BYTES,
  RIGHT,
  TIME_FLAG,
  TIME_FLAGS_ALL,
} from './abi.ts'
import type { DirectoryDescriptor } from './descriptors.ts'
import type { FileStat, NewTime, Times } from './directory.ts'
import { ERRNO, fail } from './errno.ts'
import { assertRight, type Abi, type Guest } from './guest.ts'

const ADVICE_MAX = 5
const EMPTY_STAT: FileStat = {
  device: 0n,
  inode: 0n,
  type: FILE_TYPE.UNKNOWN,
  links: 1n,
  bytes: 0n,
  accessedNs: 0n,
  modifiedNs: 0n,
  changedNs: 0n,
}

export function fdClose({ guest }: Abi, fd: number): number | Promise<number> {
  const pending = guest.close(guest.descriptors.remove(fd))
  return pending instanceof Promise ? successAfter(pending) : ERRNO.SUCCESS
}

export function fdRenumber({ guest }: Abi, from: number, to: number): number | Promise<number> {
  const replaced = guest.descriptors.renumber(from, to)
  const pending = replaced && guest.close(replaced)
  return pending instanceof Promise ? successAfter(pending) : ERRNO.SUCCESS
}

export function fdAdvise(
  { guest }: Abi,
  fd: number,
  _offset: bigint,
  _length: bigint,
  advice: number,
): number {
  guest.file(fd, RIGHT.FD_ADVISE)
  return advice >>> 0 > ADVICE_MAX ? ERRNO.INVAL : ERRNO.SUCCESS
}

export function fdAllocate({ guest }: Abi, fd: number, offset: bigint, length: bigint): number {
  const { file } = guest.file(fd, RIGHT.FD_ALLOCATE)
  const [start, bytes] = [sizeOf(offset), sizeOf(length)]
  if (bytes === 0) return ERRNO.INVAL
  sizeOf(BigInt(start) + BigInt(bytes))
  file.allocate(start, bytes)
  return ERRNO.SUCCESS
}

export function fdDatasync({ guest }: Abi, fd: number): number | Promise<number> {
  return sync(guest, fd, RIGHT.FD_DATASYNC)
}

export function fdSync({ guest }: Abi, fd: number): number | Promise<number> {
  return sync(guest, fd, RIGHT.FD_SYNC)
}

export function fdFdstatGet({ guest }: Abi, fd: number, result: number): number {
  const descriptor = guest.descriptors.get(fd)
  const at = guest.memory.check(result, FDSTAT_BYTES)
  guest.memory.setU8(at, descriptor.type)
  guest.memory.setU8(at + 1, 0)
  guest.memory.setU16(at + 2, descriptor.flags)
  guest.memory.setU32(at + 4, 0)
  guest.memory.setU64(at + 8, BigInt(descriptor.base))
  guest.memory.setU64(at + 16, BigInt(descriptor.inheriting))
  return ERRNO.SUCCESS
}

export function fdFdstatSetFlags({ guest }: Abi, fd: number, flags: number): number {
  const descriptor = guest.descriptor(fd, RIGHT.FD_FDSTAT_SET_FLAGS)
  if (flags >>> 0 > FD_FLAGS_ALL) return ERRNO.INVAL
  if (descriptor.kind === 'directory') return ERRNO.SUCCESS
  if (descriptor.kind === 'file') descriptor.file.setFlags(flags)
  descriptor.flags = flags
  return ERRNO.SUCCESS
}

export function fdFdstatSetRights(
  { guest }: Abi,
  fd: number,
  base: bigint,
  inheriting: bigint,
): number {
  const descriptor = guest.descriptors.get(fd)
  const has = [BigInt(descriptor.base), BigInt(descriptor.inheriting)] as const
  const wants = [BigInt.asUintN(64, base), BigInt.asUintN(64, inheriting)] as const
  if ((wants[0] & ~has[0]) !== 0n || (wants[1] & ~has[1]) !== 0n) return ERRNO.NOTCAPABLE
  descriptor.base = Number(wants[0])
  descriptor.inheriting = Number(wants[1])
  return ERRNO.SUCCESS
}

export function fdFilestatGet(abi: Abi, fd: number, result: number): number {
  const descriptor = abi.guest.descriptor(fd, RIGHT.FD_FILESTAT_GET)
  abi.guest.memory.check(result, abi.version.filestatBytes)
  if (descriptor.kind === 'file') return putStat(abi, result, descriptor.file.stat())
  if (descriptor.kind === 'directory') return putStat(abi, result, descriptor.directory.stat())
  return putStat(abi, result, { ...EMPTY_STAT, type: descriptor.type })
}

export function fdFilestatSetSize({ guest }: Abi, fd: number, size: bigint): number {
  const { file } = guest.file(fd, RIGHT.FD_FILESTAT_SET_SIZE)
  file.setSize(sizeOf(size))
  return ERRNO.SUCCESS
}

export function fdFilestatSetTimes(
  { guest }: Abi,
  fd: number,
  accessedNs: bigint,
  modifiedNs: bigint,
  flags: number,
): number {
  const descriptor = guest.descriptor(fd, RIGHT.FD_FILESTAT_SET_TIMES)
  const times = timesOf(accessedNs, modifiedNs, flags)
  if (descriptor.kind === 'file') descriptor.file.setTimes(times)
  else if (descriptor.kind === 'directory') descriptor.directory.setTimes(times)
  else return ERRNO.INVAL
  return ERRNO.SUCCESS
}

/** Guests ask for 3, 4, 5 … until this says `BADF`: it must be cheap to say so. */
export function fdPrestatGet({ guest }: Abi, fd: number, result: number): number {
  const name = preopenNameOf(guest, fd)
  if (name === undefined) return ERRNO.BADF
  const at = guest.memory.check(result, PRESTAT_BYTES)
  guest.memory.setU32(at, 0)
  guest.memory.setU32(at + 4, Buffer.byteLength(name))
  return ERRNO.SUCCESS
}

export function fdPrestatDirName({ guest }: Abi, fd: number, path: number, length: number): number {
  const name = preopenNameOf(guest, fd)
  if (name === undefined) return ERRNO.BADF
  const room = guest.memory.range(path, length)
  const bytes = Buffer.from(name)
  if (bytes.byteLength > room.byteLength) return ERRNO.NAMETOOLONG
  room.set(bytes)
  return ERRNO.SUCCESS
}

/** A cookie is the index of the next entry; the listing is the one that was taken when the guest last asked for the first. */
export function fdReaddir(
  { guest }: Abi,
  fd: number,
  buffer: number,
  length: number,
  cookie: bigint,
  result: number,
): number {
  const descriptor = guest.directory(fd, RIGHT.FD_READDIR)
  const room = guest.memory.range(buffer, length)
  guest.memory.check(result, 4)
  if (cookie === 0n || descriptor.listing === undefined) {
    descriptor.listing = [
      { name: '.', type: FILE_TYPE.DIRECTORY },
      { name: '..', type: FILE_TYPE.DIRECTORY },
      ...descriptor.directory.list(),
    ]
  }
  const start = BigInt.asUintN(64, cookie)
  const used = start < descriptor.listing.length ? putEntries(descriptor, room, Number(start)) : 0
  guest.memory.setU32(result, used)
  return ERRNO.SUCCESS
}

/** Writes a `filestat`, whose layout differs between the versions. */
export function putStat({ guest, version }: Abi, result: number, stat: FileStat): number {
  const { memory } = guest
  const at = memory.check(result, version.filestatBytes)
  memory.range(at, version.filestatBytes).fill(0)
  memory.setU64(at, stat.device)
  memory.setU64(at + 8, stat.inode)
  memory.setU8(at + 16, stat.type)
  const links = at + version.filestatLinksAt
  if (version.filestatLinksBytes === 8) memory.setU64(links, stat.links)
  else memory.setU32(links, Number(BigInt.asUintN(32, stat.links)))
  const rest = links + version.filestatLinksBytes
  memory.setU64(rest, stat.bytes)
  memory.setU64(rest + 8, stat.accessedNs)
  memory.setU64(rest + 16, stat.modifiedNs)
  memory.setU64(rest + 24, stat.changedNs)
  return ERRNO.SUCCESS
}

/** Throws `INVAL` for flags that do not exist or contradict each other. */
export function timesOf(accessedNs: bigint, modifiedNs: bigint, flags: number): Times {
  if (flags >>> 0 > TIME_FLAGS_ALL) fail(ERRNO.INVAL)
  const has = (flag: number) => (flags & flag) !== 0
  return {
    accessedNs: newTime(accessedNs, has(TIME_FLAG.ATIM), has(TIME_FLAG.ATIM_NOW)),
    modifiedNs: newTime(modifiedNs, has(TIME_FLAG.MTIM), has(TIME_FLAG.MTIM_NOW)),
  }
}

function newTime(given: bigint, isGiven: boolean, isNow: boolean): NewTime {
  if (isGiven && isNow) return fail(ERRNO.INVAL)
  if (isGiven) return BigInt.asUintN(64, given)
  return isNow ? 'now' : undefined
}

/** A size or offset of a file. Throws `INVAL` for one that would be negative, `FBIG` for one that no file can have. */
function sizeOf(size: bigint): number {
  const bytes = BigInt.asUintN(64, size)
  if (bytes >= 2n ** 63n) fail(ERRNO.INVAL)
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : fail(ERRNO.FBIG)
}

function sync(guest: Guest, fd: number, right: number): number | Promise<number> {
  const descriptor = guest.descriptors.get(fd)
  assertRight(descriptor.base, right)
  if (descriptor.kind !== 'file') return ERRNO.SUCCESS
  const pending = descriptor.file.sync(right === RIGHT.FD_DATASYNC)
  return pending === undefined ? ERRNO.SUCCESS : successAfter(pending)
}

async function successAfter(pending: Promise<void>): Promise<number> {
  await pending
  return ERRNO.SUCCESS
}

function preopenNameOf(guest: Guest, fd: number): string | undefined {
  const descriptor = guest.descriptors.peek(fd)
  return descriptor?.kind === 'directory' ? descriptor.preopenName : undefined
}

/** Fills `room` with entries from `start` on, the last one cut off where it does not fit. */
function putEntries(descriptor: DirectoryDescriptor, room: Uint8Array, start: number): number {
  const { listing = [] } = descriptor
  let used = 0
  for (let index = start; index < listing.length && used < room.byteLength; index += 1) {
    const { name, type } = listing[index] ?? fail(ERRNO.IO)
    const nameBytes = Buffer.from(name)
    const entry = Buffer.alloc(DIRENT_BYTES + nameBytes.byteLength)
    entry.writeBigUInt64LE(BigInt(index + 1), 0)
    entry.writeBigUInt64LE(inodeOf(descriptor, name), 8)
    entry.writeUInt32LE(nameBytes.byteLength, 16)
    entry.writeUInt8(type, 20)
    nameBytes.copy(entry, DIRENT_BYTES)
    const part = entry.subarray(0, room.byteLength - used)
    room.set(part, used)
    used += part.byteLength
  }
  return used
}

/** 0 for what was removed since it was listed. */
function inodeOf({ directory }: DirectoryDescriptor, name: string): bigint {
  if (name === '.') return directory.stat().inode
  if (name === '..') return directory.parentInode()
  return directory.typeOf(name) === undefined ? 0n : directory.statOf(name).inode
}
