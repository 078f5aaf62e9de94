/** Data goes to stdout, messages to stderr, so that output can be piped. */

import { QuiverError } from '../core/error.ts'
import { neutralise } from '../core/terminal.ts'

import type { CliContext } from './context.ts'
import { formatTable } from './table.ts'

export function printJson({ process }: CliContext, value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

/** One value of many, on a line of its own. */
export function printJsonLine({ process }: CliContext, value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

export function printTable(
  { process }: CliContext,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const clean = rows.map((row) => row.map((cell) => cell.replaceAll('\n', ' ')))
  process.stdout.write(formatTable(head, clean))
}

/** A message for people: progress, results that `--json` has in another form. */
export function say({ process }: CliContext, text: string): void {
  process.stderr.write(`${text}\n`)
}

/** What the user sees when something fails: what happened, then what to do. */
export function renderError(thrown: unknown): string {
  const error = QuiverError.from(thrown)
  // Details, such as the lines of a manifest, come below what happened.
  const [what = '', ...details] = error.message.trimEnd().split('\n')
  const lines = [`error: ${what} (${error.reason})`, ...details]
  if (details.length > 0) lines.push('')
  if (error.hint !== undefined) lines.push(`hint: ${error.hint}`)
  return lines.join('\n')
}

/** Text that an application or another person wrote: harmless on a terminal, as it is in a pipe. */
export function foreign({ process }: CliContext, text: string): string {
  return process.stdout.isTTY === true ? neutralise(text) : text
}
