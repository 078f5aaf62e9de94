/**
 * Error numbers of WASI preview 1, and the failure that carries one out of a host function.
 *
 * A failed call is ordinary for a guest, so failures are made once and thrown without a stack. Nothing here knows which function failed.
 *
 * Numbers: https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md#errno
 */

import { errnoOf } from '../../core/error.ts'

const NAMES =
  `SUCCESS 2BIG ACCES ADDRINUSE ADDRNOTAVAIL AFNOSUPPORT AGAIN ALREADY BADF BADMSG BUSY CANCELED CHILD CONNABORTED
  CONNREFUSED CONNRESET DEADLK DESTADDRREQ DOM DQUOT EXIST FAULT FBIG HOSTUNREACH IDRM ILSEQ INPROGRESS INTR INVAL IO ISCONN ISDIR
  LOOP MFILE MLINK MSGSIZE MULTIHOP NAMETOOLONG NETDOWN NETRESET NETUNREACH NFILE NOBUFS NODEV NOENT NOEXEC NOLCK NOLINK NOMEM
  NOMSG NOPROTOOPT NOSPC NOSYS NOTCONN NOTDIR NOTEMPTY NOTRECOVERABLE NOTSOCK NOTSUP NOTTY NXIO OVERFLOW OWNERDEAD PERM PIPE PROTO
  PROTONOSUPPORT PROTOTYPE RANGE ROFS SPIPE SRCH STALE TIMEDOUT TXTBSY XDEV NOTCAPABLE`.split(/\s+/)

/** The numbers that this implementation itself gives; others come from the system by their name. */
export const ERRNO = {
  SUCCESS: 0,
  ACCES: 2,
  AGAIN: 6,
  BADF: 8,
  BUSY: 10,
  EXIST: 20,
  FAULT: 21,
  FBIG: 22,
  ILSEQ: 25,
  INVAL: 28,
  IO: 29,
  ISDIR: 31,
  LOOP: 32,
  MFILE: 33,
  NAMETOOLONG: 37,
  NOENT: 44,
  NOMEM: 48,
  NOSPC: 51,
  NOTCONN: 53,
  NOTDIR: 54,
  NOTEMPTY: 55,
  NOTSOCK: 57,
  NOTSUP: 58,
  NXIO: 60,
  OVERFLOW: 61,
  PERM: 63,
  PIPE: 64,
  ROFS: 69,
  SPIPE: 70,
  XDEV: 75,
  NOTCAPABLE: 76,
} as const

export type Errno = (typeof ERRNO)[keyof typeof ERRNO]

/** What a host function throws to answer the guest with an error number. */
export class WasiFailure extends Error {
  override readonly name = 'WasiFailure'
  readonly errno: number

  constructor(errno: number) {
    super(`WASI error ${errno} (${nameOf(errno)})`)
    this.errno = errno
  }
}

const failures: WasiFailure[] = []

/** Ends the current host function; the guest gets `errno`. */
export function fail(errno: Errno): never {
  throw (failures[errno] ??= new WasiFailure(errno))
}

/** `NOENT` for 44; for messages and tests. */
export function nameOf(errno: number): string {
  return NAMES[errno] ?? `number ${errno}`
}

/** How system errors are called; QuiverErrors and Node's own `ERR_…` are not. */
const SYSTEM_ERROR = /^E[A-Z0-9]+$/

/**
 * The error number for what was thrown by a host function, a system call or a
 * failed allocation. Undefined for anything else: a bug of ours, or whoever
 * offers a stream ends the guest; neither may look like an ordinary failure.
 */
export function errnoOfThrown(thrown: unknown): number | undefined {
  if (thrown instanceof WasiFailure) return thrown.errno
  const code = errnoOf(thrown)
  if (code !== undefined && SYSTEM_ERROR.test(code)) return errnoOfCode(code)
  return thrown instanceof RangeError ? ERRNO.NOMEM : undefined
}

/** The error number for a system error's name, such as `ENOENT`; `IO` for one that WASI does not know. */
export function errnoOfCode(code: string): number {
  const errno = NAMES.indexOf(code.slice(1))
  return errno > 0 ? errno : ERRNO.IO
}
