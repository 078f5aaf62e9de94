/**
 * Constants and memory layouts of WASI preview 1, and how its predecessor
 * `wasi_unstable` differs. No behaviour.
 *
 * https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md and, for
 * the older one, phases/old/snapshot_0/docs.md there.
 */

/** Rights are bits of a 64-bit number of which 30 are defined, so a JavaScript number holds them. */
export const RIGHT = {
  FD_DATASYNC: 1 << 0,
  FD_READ: 1 << 1,
  FD_SEEK: 1 << 2,
  FD_FDSTAT_SET_FLAGS: 1 << 3,
  FD_SYNC: 1 << 4,
  FD_TELL: 1 << 5,
  FD_WRITE: 1 << 6,
  FD_ADVISE: 1 << 7,
  FD_ALLOCATE: 1 << 8,
  PATH_CREATE_DIRECTORY: 1 << 9,
  PATH_CREATE_FILE: 1 << 10,
  PATH_LINK_SOURCE: 1 << 11,
  PATH_LINK_TARGET: 1 << 12,
  PATH_OPEN: 1 << 13,
  FD_READDIR: 1 << 14,
  PATH_READLINK: 1 << 15,
  PATH_RENAME_SOURCE: 1 << 16,
  PATH_RENAME_TARGET: 1 << 17,
  PATH_FILESTAT_GET: 1 << 18,
  PATH_FILESTAT_SET_SIZE: 1 << 19,
  PATH_FILESTAT_SET_TIMES: 1 << 20,
  FD_FILESTAT_GET: 1 << 21,
  FD_FILESTAT_SET_SIZE: 1 << 22,
  FD_FILESTAT_SET_TIMES: 1 << 23,
  PATH_SYMLINK: 1 << 24,
  PATH_REMOVE_DIRECTORY: 1 << 25,
  PATH_UNLINK_FILE: 1 << 26,
  POLL_FD_READWRITE: 1 << 27,
  SOCK_SHUTDOWN: 1 << 28,
  SOCK_ACCEPT: 1 << 29,
} as const

export const RIGHTS_ALL = 2 ** 30 - 1

/** Rights that mean something for an open file. */
export const RIGHTS_FILE =
  RIGHT.FD_DATASYNC |
  RIGHT.FD_READ |
  RIGHT.FD_SEEK |
  RIGHT.FD_FDSTAT_SET_FLAGS |
  RIGHT.FD_SYNC |
  RIGHT.FD_TELL |
  RIGHT.FD_WRITE |
  RIGHT.FD_ADVISE |
  RIGHT.FD_ALLOCATE |
  RIGHT.FD_FILESTAT_GET |
  RIGHT.FD_FILESTAT_SET_SIZE |
  RIGHT.FD_FILESTAT_SET_TIMES |
  RIGHT.POLL_FD_READWRITE

/** Rights that mean something for an open directory. */
export const RIGHTS_DIRECTORY =
  RIGHT.FD_DATASYNC |
  RIGHT.FD_FDSTAT_SET_FLAGS |
  RIGHT.FD_SYNC |
  RIGHT.FD_READDIR |
  RIGHT.PATH_CREATE_DIRECTORY |
  RIGHT.PATH_CREATE_FILE |
  RIGHT.PATH_LINK_SOURCE |
  RIGHT.PATH_LINK_TARGET |
  RIGHT.PATH_OPEN |
  RIGHT.PATH_READLINK |
  RIGHT.PATH_RENAME_SOURCE |
  RIGHT.PATH_RENAME_TARGET |
  RIGHT.PATH_FILESTAT_GET |
  RIGHT.PATH_FILESTAT_SET_SIZE |
  RIGHT.PATH_FILESTAT_SET_TIMES |
  RIGHT.FD_FILESTAT_GET |
  RIGHT.FD_FILESTAT_SET_TIMES |
  RIGHT.PATH_SYMLINK |
  RIGHT.PATH_REMOVE_DIRECTORY |
  RIGHT.PATH_UNLINK_FILE

const RIGHTS_STREAM = RIGHT.FD_FILESTAT_GET | RIGHT.FD_FDSTAT_SET_FLAGS | RIGHT.POLL_FD_READWRITE

/** Rights of something that is read, such as stdin, or written, such as stdout, but has no position. */
export const RIGHTS_SOURCE = RIGHTS_STREAM | RIGHT.FD_READ
export const RIGHTS_SINK = RIGHTS_STREAM | RIGHT.FD_WRITE
export const RIGHTS_CONNECTION = RIGHTS_SOURCE | RIGHTS_SINK | RIGHT.SOCK_SHUTDOWN
export const RIGHTS_LISTENER = RIGHTS_STREAM | RIGHT.SOCK_ACCEPT

export const FILE_TYPE = {
  UNKNOWN: 0,
  BLOCK_DEVICE: 1,
  CHARACTER_DEVICE: 2,
  DIRECTORY: 3,
  REGULAR_FILE: 4,
  SOCKET_DGRAM: 5,
  SOCKET_STREAM: 6,
  SYMBOLIC_LINK: 7,
} as const
export type FileType = (typeof FILE_TYPE)[keyof typeof FILE_TYPE]

export const FD_FLAG = { APPEND: 1, DSYNC: 2, NONBLOCK: 4, RSYNC: 8, SYNC: 16 } as const
export const FD_FLAGS_ALL = 31

export const OPEN_FLAG = { CREAT: 1, DIRECTORY: 2, EXCL: 4, TRUNC: 8 } as const
export const OPEN_FLAGS_ALL = 15

export const LOOKUP_SYMLINK_FOLLOW = 1

export const TIME_FLAG = { ATIM: 1, ATIM_NOW: 2, MTIM: 4, MTIM_NOW: 8 } as const
export const TIME_FLAGS_ALL = 15

export const CLOCK = { REALTIME: 0, MONOTONIC: 1, PROCESS_CPUTIME: 2, THREAD_CPUTIME: 3 } as const

export const EVENT = { CLOCK: 0, FD_READ: 1, FD_WRITE: 2 } as const
export const EVENT_HANGUP = 1
export const CLOCK_ABSTIME = 1

export const DIRENT_BYTES = 24
export const EVENT_BYTES = 32
export const FDSTAT_BYTES = 24
export const PRESTAT_BYTES = 8
export const IOVEC_BYTES = 8

/** Where the two versions of the interface differ. */
export interface AbiVersion {
  readonly filestatBytes: number
  /** Offset of the number of links, and how wide it is; size and times follow it. */
  readonly filestatLinksAt: number
  readonly filestatLinksBytes: 4 | 8
  readonly subscriptionBytes: number
  readonly subscriptionClockAt: number
  readonly whence: readonly ('set' | 'current' | 'end')[]
}

export const PREVIEW1: AbiVersion = {
  filestatBytes: 64,
  filestatLinksAt: 24,
  filestatLinksBytes: 8,
  subscriptionBytes: 48,
  subscriptionClockAt: 16,
  whence: ['set', 'current', 'end'],
}

export const UNSTABLE: AbiVersion = {
  filestatBytes: 56,
  filestatLinksAt: 20,
  filestatLinksBytes: 4,
  subscriptionBytes: 56,
  // A 64-bit identifier, which is of no use, comes before the clock.
  subscriptionClockAt: 24,
  whence: ['current', 'end', 'set'],
}
