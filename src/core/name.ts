/** Names that users choose for tasks, and the runtime references they write. */

import { QuiverError } from './error.ts'

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/

/**
 * Checks the name of a task, binary or stack: a DNS label (RFC 1123), so that it can be a host name.
 *
 * @param what  the noun for the message, such as `task name`
 * @throws QuiverError `invalid_argument/NAME_INVALID`
 */
export function parseName(text: string, what = 'task name'): string {
  if (NAME.test(text)) return text
  throw new QuiverError('invalid_argument', 'NAME_INVALID', `"${text}" is not a ${what}`, {
    hint: 'Use 1 to 63 lower-case letters, digits and hyphens; begin and end with a letter or digit.',
  })
}

/** A runtime as written in a manifest: `node@26`, or `node` for the newest one there is. */
export interface RuntimeReference {
  readonly name: string
  /** A version or a leading part of one (`26` stands for `26.10.0`); `undefined` for the newest. */
  readonly version: string | undefined
}

/** @throws QuiverError `invalid_argument/RUNTIME_INVALID` */
export function parseRuntime(text: string): RuntimeReference {
  const [name = '', version, ...rest] = text.split('@')
  const isValid = NAME.test(name) && (version === undefined || VERSION.test(version))
  if (isValid && rest.length === 0) return { name, version }
  throw new QuiverError('invalid_argument', 'RUNTIME_INVALID', `"${text}" is not a runtime`, {
    hint: 'Write a name, or a name and a version, such as "node" or "node@26".',
  })
}

/** The candidate nearest to what was typed, for "did you mean"; `undefined` when none is near. */
export function nearestName(text: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let distanceMin = Math.max(1, Math.floor(text.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(text.toLowerCase(), candidate.toLowerCase())
    if (distance >= distanceMin) continue
    distanceMin = distance
    best = candidate
  }
  return best
}

/** Optimal string alignment distance: insertions, deletions, substitutions, swapped neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      const insertion = (current[column - 1] ?? 0) + 1
      let distance = Math.min(substitution, insertion, (previous[column] ?? 0) + 1)
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (isSwap && column > 1) distance = Math.min(distance, (before[column - 2] ?? 0) + 1)
      current.push(distance)
    }
    before = previous
    previous = current
  }
  return previous[b.length] ?? a.length
}
