/**
 * Lock files: who holds one owns what it stands for, and a holder that dies has let go.
 *
 * The lock is flock(2) on the open file, so it follows the descriptor into children that inherit it. It says nothing
 * about the file's content, and the file stays when the lock is released.
 */

import { close, constants, fstat, open, stat } from 'node:fs'
import { promisify } from 'node:util'

import { flock } from './fds.ts'

const openFile = promisify(open)
const closeFile = promisify(close)
const statFile = promisify(fstat)

/** A lock that we hold, until disposed. */
export class Lock implements AsyncDisposable {
  readonly path: string
  // A number and not a FileHandle: a lock that is meant to last until we die must not end by garbage collection.
  #fd: number | undefined

  constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const fd = this.#fd
    this.#fd = undefined
    if (fd !== undefined) await closeFile(fd)
  }
}

/**
 * Takes the lock, creating its file (mode 0600) where there is none.
 *
 * @returns `undefined` when somebody else holds it
 * @throws Error `ENOENT` when the folder is missing; `EACCES`, `EISDIR` …
 */
export async function openLock(path: string): Promise<Lock | undefined> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  const fd = await openFile(path, flags, 0o600)
  const outcome = await lockIfCurrent(path, fd).catch(async (thrown: unknown) => {
    await closeFile(fd)
    throw thrown
  })
  if (outcome === 'locked') return new Lock(path, fd)
  await closeFile(fd)
  return outcome === 'held' ? undefined : openLock(path)
}

/**
 * Whether somebody holds the lock; false as well when there is no such file. Only a look: by the time it is read the
 * answer may be old, so whoever acts on "free" takes the lock first.
 */
export async function isLockHeld(path: string): Promise<boolean> {
  let fd: number
  try {
    fd = await openFile(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (thrown) {
    if (isMissing(thrown)) return false
    throw thrown
  }
  try {
    return !flock(fd, 'shared')
  } finally {
    await closeFile(fd)
  }
}

/** A file that was replaced between open and flock locks nothing: the path names another one by now. */
async function lockIfCurrent(path: string, fd: number): Promise<'locked' | 'held' | 'replaced'> {
  if (!flock(fd, 'exclusive')) return 'held'
  const ours = await statFile(fd)
  const named = await statIfThere(path)
  return named?.ino === ours.ino && named.dev === ours.dev ? 'locked' : 'replaced'
}

async function statIfThere(path: string): Promise<{ ino: number; dev: number } | undefined> {
  try {
    return await promisify(stat)(path)
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT'
}
