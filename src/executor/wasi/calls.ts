/** Every host function by the name that guests import, and how one is bound to a guest. */

import * as fd from './fd-calls.ts'
import type { Abi } from './guest.ts'
import * as io from './io-calls.ts'
import { pathOpen } from './open-calls.ts'
import * as path from './path-calls.ts'
import { pollOneoff } from './poll-calls.ts'
import * as processes from './process-calls.ts'
import * as sock from './sock-calls.ts'

export type GuestValue = number | bigint
export type HostFunction = (...args: GuestValue[]) => number | Promise<number>
// A method's parameters may be narrower than declared. Guests give numbers where a function expects numbers, and bigints where it expects
// those: a module that imports it with other types is refused before it runs.
type Call = { run(abi: Abi, ...args: GuestValue[]): number | Promise<number> }['run']

const CALLS: Readonly<Record<string, Call>> = {
  args_get: processes.argsGet,
  args_sizes_get: processes.argsSizesGet,
  clock_res_get: processes.clockResGet,
  clock_time_get: processes.clockTimeGet,
  environ_get: processes.environGet,
  environ_sizes_get: processes.environSizesGet,
  fd_advise: fd.fdAdvise,
  fd_allocate: fd.fdAllocate,
  fd_close: fd.fdClose,
  fd_datasync: fd.fdDatasync,
  fd_fdstat_get: fd.fdFdstatGet,
  fd_fdstat_set_flags: fd.fdFdstatSetFlags,
  fd_fdstat_set_rights: fd.fdFdstatSetRights,
  fd_filestat_get: fd.fdFilestatGet,
  fd_filestat_set_size: fd.fdFilestatSetSize,
  fd_filestat_set_times: fd.fdFilestatSetTimes,
  fd_pread: io.fdPread,
  fd_prestat_dir_name: fd.fdPrestatDirName,
  fd_prestat_get: fd.fdPrestatGet,
  fd_pwrite: io.fdPwrite,
  fd_read: io.fdRead,
  fd_readdir: fd.fdReaddir,
  fd_renumber: fd.fdRenumber,
  fd_seek: io.fdSeek,
  fd_sync: fd.fdSync,
  fd_tell: io.fdTell,
  fd_write: io.fdWrite,
  path_create_directory: path.pathCreateDirectory,
  path_filestat_get: path.pathFilestatGet,
  path_filestat_set_times: path.pathFilestatSetTimes,
  path_link: path.pathLink,
  path_open: pathOpen,
  path_readlink: path.pathReadlink,
  path_remove_directory: path.pathRemoveDirectory,
  path_rename: path.pathRename,
  path_symlink: path.pathSymlink,
  path_unlink_file: path.pathUnlinkFile,
  poll_oneoff: pollOneoff,
  proc_exit: processes.procExit,
  proc_raise: processes.procRaise,
  random_get: processes.randomGet,
  sched_yield: processes.schedYield,
  sock_accept: sock.sockAccept,
  sock_recv: sock.sockRecv,
  sock_send: sock.sockSend,
  sock_shutdown: sock.sockShutdown,
}

/** The names, sorted. */
export const CALL_NAMES: readonly string[] = Object.keys(CALLS)

/** Those that may return a promise: importing one of them needs `WebAssembly.Suspending`. */
export const WAITING_CALLS: ReadonlySet<string> = new Set([
  'fd_close',
  'fd_datasync',
  'fd_read',
  'fd_renumber',
  'fd_sync',
  'fd_write',
  'path_open',
  'poll_oneoff',
  'sched_yield',
  'sock_accept',
  'sock_recv',
  'sock_send',
])

const BY_NAME: ReadonlyMap<string, Call> = new Map(Object.entries(CALLS))

/** A function for a guest to import; undefined if there is none of that name. */
export function bindCall(abi: Abi, name: string): HostFunction | undefined {
  const call = BY_NAME.get(name)
  return call && ((...args) => run(abi, call, args))
}

function run(abi: Abi, call: Call, args: GuestValue[]): number | Promise<number> {
  try {
    abi.guest.enter()
    const result = call(abi, ...args)
    return result instanceof Promise ? settle(abi, result) : result
  } catch (thrown) {
    return abi.guest.failed(thrown)
  }
}

async function settle({ guest }: Abi, pending: Promise<number>): Promise<number> {
  try {
    const errno = await pending
    guest.assertRunning()
    return errno
  } catch (thrown) {
    return guest.failed(thrown)
  }
}
