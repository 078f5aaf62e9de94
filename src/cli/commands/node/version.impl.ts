/** `quiver version`: what it does. */

import { readFileSync } from 'node:fs'

import type { CliContext } from '../../context.ts'
import { printJson } from '../../print.ts'

export function version(this: CliContext, flags: { readonly json: boolean }): void {
  const text = readVersion()
  if (flags.json) printJson(this, { version: text, node: process.versions.node })
  else this.process.stdout.write(`${text}\n`)
}

/** Of the package, four folders up both in `src/` and in `dist/`. */
function readVersion(): string {
  const file = new URL('../../../../package.json', import.meta.url)
  const { version: text }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return text
}
