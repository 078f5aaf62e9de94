/** The folder of sockets: what is made there before a node starts, and what is taken away after it. Not what binds them. */

import { chmod, mkdir, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf, QuiverError } from '../core/error.ts'

/** `i`: sockets of instances. `e`: that of egress. `n`: names on the bridge. */
const FOLDERS = ['i', 'e', 'n'] as const

/**
 * Instances run as other users: they must be able to pass through, and no more.
 *
 * @throws QuiverError `permission_denied/FOLDER_DENIED`
 */
export async function makePassage(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o711 })
    await chmod(folder, 0o711)
  } catch (cause) {
    if (!['EPERM', 'EACCES'].includes(errnoOf(cause) ?? '')) throw cause
    throw new QuiverError('permission_denied', 'FOLDER_DENIED', `${folder} is not yours to use`, {
      hint: 'Run as its owner, or choose another folder with --data or --run.',
      cause,
    })
  }
}

export async function makeRunFolder(run: string): Promise<void> {
  for (const folder of [run, ...FOLDERS.map((name) => path.join(run, name))]) {
    await makePassage(folder)
  }
}

/** What the supervisor reads once. */
export function specificationPath(run: string): string {
  return path.join(run, 'supervise')
}

/**
 * For when the node ends, or could not start. Sockets are the supervisor's to remove, and then the folder; what holds
 * something stays, and does no harm.
 */
export async function clearRunFolder(run: string): Promise<void> {
  await rm(specificationPath(run), { force: true })
  await rm(path.join(run, 'n', 'names'), { force: true })
  for (const name of [...FOLDERS, '.']) await rmdir(path.join(run, name)).catch(() => {})
}
