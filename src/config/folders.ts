/** Where a node keeps its things: the data folder, which lasts, and the run folder, which holds sockets. */

import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

type Variables = Readonly<Record<string, string | undefined>>

/** The data folder when none is configured: `/var/lib/quiver` for root, else `~/.local/share/quiver`. */
export function dataFolder(env: Variables, uid: number): string {
  if (uid === 0) return '/var/lib/quiver'
  const home = env['HOME'] ?? ''
  return path.join(path.isAbsolute(home) ? home : homedir(), '.local/share/quiver')
}

/**
 * The run folder that belongs to a data folder, so that every command finds the node by its data alone. The
 * default data folder has `/run/quiver` or `$XDG_RUNTIME_DIR/quiver`; any other, and all without one of these, get a
 * short name made of the hash of the real path: socket paths end at 107 bytes.
 */
export function runFolder(data: string, env: Variables, uid: number): string {
  const runtime = env['XDG_RUNTIME_DIR'] ?? ''
  const hasRuntime = path.isAbsolute(runtime)
  const parent = uid === 0 ? '/run' : hasRuntime ? runtime : '/tmp'
  const isDefault = realPath(data) === realPath(dataFolder(env, uid))
  if (isDefault && parent !== '/tmp') return path.join(parent, 'quiver')
  const hash = createHash('sha256').update(realPath(data)).digest('hex')
  return path.join(parent, `quiver-${hash.slice(0, 8)}`)
}

/**
 * The first folder on the way to `folder`, or itself, that other users may not pass: instances of a node that root runs
 * are other users. What does not exist yet is left out.
 */
export async function closedFolder(folder: string): Promise<string | undefined> {
  const parent = path.dirname(folder)
  const above = parent === folder ? undefined : await closedFolder(parent)
  if (above !== undefined) return above
  const mode = await stat(folder).then(
    (found) => found.mode,
    () => undefined,
  )
  return mode !== undefined && (mode & 0o001) === 0 ? folder : undefined
}

/** The path without symbolic links, also where its end does not exist yet. */
function realPath(folder: string): string {
  const absolute = path.resolve(folder)
  try {
    return realpathSync(absolute)
  } catch {
    const parent = path.dirname(absolute)
    return parent === absolute ? absolute : path.join(realPath(parent), path.basename(absolute))
  }
}
