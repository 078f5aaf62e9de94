/** What is known of each language: a fact that the tests beside this file find, or the reason why there is none. */

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'

export interface Language {
  readonly language: string
  /** `refused`: it was tried. `not tried`: nobody knows. */
  readonly outcome: 'runs' | 'refused' | 'not tried'
  /** A path in this repository, or a package. */
  readonly sample: string | null
  /** With versions. */
  readonly toolchain: string | null
  /** Of the module. */
  readonly bytes: number | null
  /** What the sample did, or why there is none. */
  readonly note: string
}

const FILE = path.join(import.meta.dirname, 'languages.json')

export function readLanguages(): readonly Language[] {
  return JSON.parse(readFileSync(FILE, 'utf8'))
}

/** In the order of their names, whatever order they were found in. */
export async function writeLanguages(languages: readonly Language[]): Promise<void> {
  await writeFile(FILE, `${JSON.stringify(sortLanguages(languages), null, 2)}\n`)
}

export function sortLanguages(languages: readonly Language[]): readonly Language[] {
  return languages.toSorted((a, b) => a.language.localeCompare(b.language, 'en'))
}
