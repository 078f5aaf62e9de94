/** Where the node of this machine is, when no other is named. */

import { dataFolder, runFolder } from '../config/folders.ts'

import type { CliContext } from './context.ts'

export function localFolders(env: CliContext['process']['env']): { data: string; run: string } {
  const uid = process.getuid?.() ?? 0
  const chosen = env['QUIVER_DATA'] ?? ''
  const data = chosen === '' ? dataFolder(env, uid) : chosen
  const run = env['QUIVER_RUN'] ?? ''
  return { data, run: run === '' ? runFolder(data, env, uid) : run }
}
