/** The phases of a start as bars of text: where each began and how long it took. */

import type { PhaseView } from '../client/resources.ts'

import { formatMilliseconds } from './format.ts'

const WIDTH = 48

/** One line for each phase, and the total; empty when there are none. */
export function formatWaterfall(phases: readonly PhaseView[]): string {
  const totalMs = Math.max(0, ...phases.map(({ startMs, durationMs }) => startMs + durationMs))
  if (phases.length === 0) return ''
  const scale = totalMs === 0 ? 0 : WIDTH / totalMs
  const nameWidth = Math.max(...phases.map(({ name }) => name.length), 'total'.length)
  const lines = phases.map(({ name, startMs, durationMs }) => {
    const begin = Math.min(WIDTH - 1, Math.floor(startMs * scale))
    const length = Math.max(1, Math.min(WIDTH - begin, Math.round(durationMs * scale)))
    const bar = `${' '.repeat(begin)}${'█'.repeat(length)}`.padEnd(WIDTH)
    return `  ${name.padEnd(nameWidth)}  ${bar}  ${formatMilliseconds(durationMs).padStart(8)}\n`
  })
  const rest = ' '.repeat(WIDTH)
  const total = `  ${'total'.padEnd(nameWidth)}  ${rest}  ${formatMilliseconds(totalMs).padStart(8)}\n`
  return lines.join('') + total
}
