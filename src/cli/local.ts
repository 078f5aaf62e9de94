/** Where the node of this machine is, and that it is meant. */

import path from 'node:path'

import { parseAddress } from '../client/address.ts'
import { dataFolder, runFolder } from '../config/folders.ts'
import { QuiverError } from '../core/error.ts'

import type { CliContext } from './context.ts'

export function localFolders(env: CliContext['process']['env']): { data: string; run: string } {
  const uid = process.getuid?.() ?? 0
  const chosen = env['QUIVER_DATA'] ?? ''
  const data = chosen === '' ? dataFolder(env, uid) : chosen
  const run = env['QUIVER_RUN'] ?? ''
  return { data, run: run === '' ? runFolder(data, env, uid) : run }
}

/**
 * For what is done to the node of this machine whatever `--host` says: whoever names another one is told.
 *
 * @param verb  such as `quiver down`
 * @throws QuiverError `invalid_argument/NODE_ELSEWHERE`, `invalid_argument/HOST_INVALID`
 */
export function assertLocal(env: CliContext['process']['env'], verb: string): void {
  const host = env['QUIVER_HOST'] ?? ''
  if (host === '') return
  const address = parseAddress(host)
  const own = path.join(localFolders(env).run, 'api.sock')
  if (address.kind === 'unix' && address.path === own) return
  const message = `"${verb}" is about the node of this machine, and --host or QUIVER_HOST names ${host}`
  throw new QuiverError('invalid_argument', 'NODE_ELSEWHERE', message, {
    hint: 'Run it on that machine, or leave out --host and QUIVER_HOST.',
  })
}
