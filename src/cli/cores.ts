/** Core dumps as a table, for `core ls` and `describe`. */

import { constants } from 'node:os'

import type { CoreView } from '../client/resources.ts'
import { neutraliseLine } from '../core/terminal.ts'

import { formatAge, formatBytes } from './format.ts'
import { formatTable } from './table.ts'

/** Empty when there are none. */
export function formatCores(cores: readonly CoreView[], nowMs: number): string {
  if (cores.length === 0) return ''
  const rows = cores.map((core) => [
    core.task,
    String(core.number),
    nameOf(core.signal),
    neutraliseLine(core.program?.path ?? core.command),
    core.program?.buildId?.slice(0, 12) ?? '-',
    String(core.revision),
    `${formatBytes(core.bytes)}${core.isTruncated ? ', cut off' : ''}`,
    formatBytes(core.storedBytes),
    formatAge(core.atMs, nowMs),
  ])
  const head = ['TASK', 'CORE', 'SIGNAL', 'PROGRAM', 'BUILD ID', 'REVISION', 'SIZE', 'KEPT', 'AGE']
  return formatTable(head, rows)
}

/** `SIGSEGV`, where it has a name. */
function nameOf(signal: number | null): string {
  if (signal === null) return '-'
  const found = Object.entries(constants.signals).find(([, number]) => number === signal)
  return found?.[0] ?? String(signal)
}
