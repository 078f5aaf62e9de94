/** How the data plane's processes give up root: for good, and without outliving the supervisor. */

import { dieWithParent } from '../fds/fds.ts'

/** Numeric; absent: stay who we are. */
export interface Identity {
  readonly uid?: number
  readonly gid?: number
  /** Supplementary groups. */
  readonly groups?: readonly number[]
}

/**
 * Groups go first: without root they can no longer be changed. A change of identity makes the kernel forget that this
 * process is to end with its parent, so that is asked for again.
 */
export function dropPrivileges({ uid, gid, groups = [] }: Identity): void {
  const parent = process.ppid
  // Also loads the native functions while their folder can still be reached: it may be below root's own.
  dieWithParent(parent)
  if (gid !== undefined) {
    process.setgroups?.([...groups])
    process.setgid?.(gid)
  }
  if (uid !== undefined) process.setuid?.(uid)
  dieWithParent(parent)
}
