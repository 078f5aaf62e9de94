/**
 * The listening sockets that the supervisor hands over, by name: the receiving side of sd_listen_fds(3). It only finds
 * and checks the descriptors; what to do with them is up to whoever asked.
 */

import { fstatSync } from 'node:fs'

import { QuiverError } from '../core/error.ts'

/** The first descriptor that is handed over, always. */
const FIRST = 3
/** As many as a supervisor holds (native/ainit/supervise.h). */
const COUNT_MAX = 32

/**
 * Takes the sockets that were handed to this process. Node.js has marked them close-on-exec when it started.
 *
 * @param env  the environment; its `LISTEN_*` entries are removed, so that no child takes them for its own
 * @param pid  of this process
 * @returns    gives the descriptor for a name. It throws QuiverError `failed_precondition/SOCKET_MISSING` for a name
 *   that was not handed over
 * @throws QuiverError `failed_precondition/SOCKETS_INVALID` when the environment contradicts itself, or a descriptor is
 *   not a socket
 */
export function takeSockets(
  env: NodeJS.ProcessEnv,
  pid: number,
  isSocket: (fd: number) => boolean = isOpenSocket,
): (name: string) => number {
  const names = readNames(env, pid)
  for (const key of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[key]
  for (const [index, name] of names.entries()) {
    if (isSocket(FIRST + index)) continue
    throw invalid(`descriptor ${FIRST + index}, handed over as "${name}", is not a socket`)
  }
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
  // Otherwise they were meant for a process that started us and left its environment to us.
  if (env['LISTEN_PID'] !== String(pid)) return []
  const count = env['LISTEN_FDS'] ?? ''
  if (!/^\d{1,2}$/.test(count) || Number(count) > COUNT_MAX) {
    throw invalid(`LISTEN_FDS is "${count}", not a number up to ${COUNT_MAX}`)
  }
  const list = env['LISTEN_FDNAMES'] ?? ''
  const names = list === '' ? [] : list.split(':')
  if (names.length !== Number(count)) {
    throw invalid(`LISTEN_FDS is ${count}, but LISTEN_FDNAMES has ${names.length} names`)
  }
  if (names.includes('') || new Set(names).size !== names.length) {
    throw invalid(`LISTEN_FDNAMES is "${list}", with an empty or repeated name`)
  }
  return names
}

function isOpenSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return false
  }
}

function invalid(message: string): QuiverError {
  return new QuiverError('failed_precondition', 'SOCKETS_INVALID', message, {
    hint: 'Start this process with "quiver up", which hands over its sockets.',
  })
}
