/**
 * The sockets that the supervisor handed over, by name: the receiving side of sd_listen_fds(3). It only finds the
 * descriptors; what to do with them is up to whoever asked.
 */

import { QuiverError } from '../core/error.ts'

/** The first descriptor that is handed over, always. */
const FIRST = 3

/**
 * @param env  the environment; its `LISTEN_*` entries are removed, so that no child takes them for its own
 * @param pid  of this process
 * @returns    gives the descriptor for a name. It throws QuiverError `failed_precondition/SOCKET_MISSING` for a name
 *   that was not handed over
 */
export function takeSockets(env: NodeJS.ProcessEnv, pid: number): (name: string) => number {
  const names = readNames(env, pid)
  for (const key of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[key]
  return (name) => {
    const index = names.indexOf(name)
    if (index >= 0) return FIRST + index
    throw new QuiverError(
      'failed_precondition',
      'SOCKET_MISSING',
      `no socket "${name}" was given`,
      {
        hint: 'Start this process with "quiver up", which hands over its sockets.',
      },
    )
  }
}

function readNames(env: NodeJS.ProcessEnv, pid: number): readonly string[] {
  const count = Number(env['LISTEN_FDS'] ?? 0)
  if (env['LISTEN_PID'] !== String(pid)) return []
  return (env['LISTEN_FDNAMES'] ?? '').split(':').slice(0, count)
}
