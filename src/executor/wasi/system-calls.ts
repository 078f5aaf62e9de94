/**
 * The two system calls that Node has no function for: times in nanoseconds, and room for a file. Node sets times in microseconds, and a
 * guest must read back what it wrote.
 *
 * They come from `node:ffi`, loaded by the first guest that needs them; without it, times lose their last digits.
 */

import { ftruncateSync, fstatSync, lutimesSync, utimesSync } from 'node:fs'

import type { NewTime, Times } from './directory.ts'
import { ERRNO, fail } from './errno.ts'

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
/** Instead of nanoseconds: the time it is now, and leave this time as it is. */
const UTIME_NOW = 0x3fffffffn
const UTIME_OMIT = 0x3ffffffen
const TIMESPEC_BYTES = 16
const SECOND_NS = 1_000_000_000n
const ENOSPC = 28
/** Where the C library keeps the error number of the last call. */
const ERRNO_LOCATION = '__errno_location'

interface SystemCalls {
  setTimes(path: string, times: Buffer, flags: number): boolean
  /** Zero, or the system's error number. */
  allocate(fd: number, offset: number, bytes: number): number
}

let loaded: SystemCalls | null | undefined

/** Sets times of what is at `path`: of a link itself, unless `follow`. */
export function setTimes(path: string, times: Times, follow: boolean): void {
  const both = Buffer.alloc(2 * TIMESPEC_BYTES)
  putTime(both, 0, times.accessedNs)
  putTime(both, TIMESPEC_BYTES, times.modifiedNs)
  if (systemCalls()?.setTimes(path, both, follow ? 0 : AT_SYMLINK_NOFOLLOW) === true) return
  // It fails as well, and says why; or it was not there, and this does it nearly as well.
  setTimesRoughly(path, times, follow)
}

/** Makes room for `bytes` at `offset`, growing the file if need be. Throws `NOSPC`. */
export function allocate(fd: number, offset: number, bytes: number): void {
  const errno = systemCalls()?.allocate(fd, offset, bytes)
  if (errno === 0) return
  if (errno === ENOSPC) fail(ERRNO.NOSPC)
  // Some file systems cannot: there a file at least gets its size.
  if (fstatSync(fd).size < offset + bytes) ftruncateSync(fd, offset + bytes)
}

function putTime(target: Buffer, at: number, time: NewTime): void {
  const isGiven = typeof time === 'bigint'
  const special = time === 'now' ? UTIME_NOW : UTIME_OMIT
  target.writeBigInt64LE(isGiven ? time / SECOND_NS : 0n, at)
  target.writeBigInt64LE(isGiven ? time % SECOND_NS : special, at + 8)
}

/** Node sets both or none. */
function setTimesRoughly(path: string, times: Times, follow: boolean): void {
  const set = follow ? utimesSync : lutimesSync
  set(path, secondsOf(times.accessedNs), secondsOf(times.modifiedNs))
}

function secondsOf(time: NewTime): number {
  if (time === undefined) return fail(ERRNO.NOTSUP)
  return time === 'now' ? Date.now() / 1000 : Number(time) / 1e9
}

function systemCalls(): SystemCalls | null {
  loaded ??= load()
  return loaded
}

function load(): SystemCalls | null {
  try {
    const ffi = process.getBuiltinModule('node:ffi')
    const { functions } = ffi.dlopen(null, {
      utimensat: { arguments: ['i32', 'string', 'buffer', 'i32'], return: 'i32' },
      fallocate: { arguments: ['i32', 'i32', 'i64', 'i64'], return: 'i32' },
      [ERRNO_LOCATION]: { arguments: [], return: 'pointer' },
    })
    return {
      setTimes: (path, times, flags) => functions.utimensat(AT_FDCWD, path, times, flags) === 0,
      allocate: (fd, offset, bytes) =>
        functions.fallocate(fd, 0, BigInt(offset), BigInt(bytes)) === 0
          ? 0
          : ffi.getInt32(functions[ERRNO_LOCATION]()),
    }
  } catch {
    return null
  }
}
