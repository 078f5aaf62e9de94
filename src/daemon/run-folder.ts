/** The folder of sockets: what is made there before a node starts, and what is taken away after it. Not what binds them. */

import { chmod, mkdir, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'

/** `i`: sockets of instances. `e`: that of egress. */
const FOLDERS = ['i', 'e'] as const

/** Instances run as other users: they must be able to pass through, and no more. */
export async function makePassage(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await chmod(folder, 0o711)
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
  for (const name of [...FOLDERS, '.']) await rmdir(path.join(run, name)).catch(() => {})
}
