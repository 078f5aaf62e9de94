/** What is wrong with a configuration file, and how people are shown it: place, key, source line, caret. */

import { QuiverError } from '../core/error.ts'

import type { KeyPath, Place, Positions } from './positions.ts'

export interface Problem {
  readonly path: KeyPath
  /** Points to the key (it should not be there) or to its value (it should be another). */
  readonly at: 'key' | 'value'
  /** What is wrong, to be read after the key: `is missing`, `"5 MB" is not a quantity`. */
  readonly message: string
  /** One sentence: what to write instead. */
  readonly hint?: string | undefined
  /** The key or value is planned and not there yet: nothing is wrong with the file. */
  readonly isLater?: boolean
}

/** A text and where it came from. */
export interface Source {
  /** As the user knows it, such as `quiver.toml`. */
  readonly path: string
  readonly text: string
}

/**
 * One error for all problems of a file, in the order of their places. Its code is `unimplemented/NOT_YET` when
 * nothing is wrong but features that come later, else `invalid_argument` with `reason`.
 */
export function describeProblems(
  source: Source,
  positions: Positions,
  problems: readonly Problem[],
  reason: string,
): QuiverError {
  const placed = problems
    .map((problem) => ({ problem, place: placeOf(problem, positions) }))
    .toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)
  const blocks = placed.map(({ problem, place }) => {
    const key = problem.path.length === 0 ? '' : `${formatPath(problem.path)}: `
    return describeProblem(source, place, `${key}${problem.message}`, problem.hint)
  })
  const isLater = problems.every((problem) => problem.isLater === true)
  const verdict = isLater ? 'asks for what this version cannot do yet' : 'is not valid'
  const count = problems.length === 1 ? '' : ` (${problems.length} problems)`
  const [first] = placed
  return new QuiverError(
    isLater ? 'unimplemented' : 'invalid_argument',
    isLater ? 'NOT_YET' : reason,
    `${source.path} ${verdict}${count}\n\n${blocks.join('\n\n')}\n`,
    {
      hint: isLater
        ? 'Leave these keys out until a version of Quiver has them.'
        : `Correct ${source.path} and try again.`,
      details: { file: source.path, problems: problems.length, ...first?.place },
    },
  )
}

/** One problem at a known place: `file:line:column`, what is wrong, the line, a caret, what to do. */
export function describeProblem(
  source: Source,
  place: Place,
  message: string,
  hint: string | undefined,
): string {
  const line = source.text.split('\n')[place.line - 1] ?? ''
  const gutter = String(place.line)
  const blank = ' '.repeat(gutter.length)
  const excerpt = quoteLine(line, place.column)
  const lines = [
    `${source.path}:${place.line}:${place.column}: ${message}`,
    `  ${gutter} | ${excerpt.text}`,
    `  ${blank} | ${excerpt.indent}^`,
  ]
  if (hint !== undefined && hint !== '') lines.push(`  ${blank} = ${hint}`)
  return lines.join('\n')
}

/** A path as TOML writes it, with indexes in brackets: `port[0].publish`. */
export function formatPath(path: KeyPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`
      const name = /^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)
      return index === 0 ? name : `.${name}`
    })
    .join('')
}

/** The place of the longest part of the path that is written; the top of the file when none is. */
function placeOf(problem: Problem, positions: Positions): Place {
  const own = problem.at === 'key' ? positions.key(problem.path) : positions.value(problem.path)
  if (own !== undefined) return own
  for (let length = problem.path.length - 1; length > 0; length--) {
    const place = positions.value(problem.path.slice(0, length))
    if (place !== undefined) return place
  }
  return { line: 1, column: 1 }
}

const EXCERPT_LENGTH_MAX = 100

/** The part of a line around a column, harmless on a terminal, and what stands under it up to there. */
function quoteLine(line: string, column: number): { text: string; indent: string } {
  const start = column > EXCERPT_LENGTH_MAX - 20 ? column - 40 : 0
  const window = line.slice(start, start + EXCERPT_LENGTH_MAX).replace(/\r$/, '')
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is replaced
  const text = window.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
  const before = text.slice(0, column - 1 - start).replaceAll(/[^\t]/g, ' ')
  const lead = start > 0 ? '…' : ''
  const tail = start + EXCERPT_LENGTH_MAX < line.length ? '…' : ''
  return { text: lead + text + tail, indent: lead.replace('…', ' ') + before }
}
