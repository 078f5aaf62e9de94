/** What our kernel is made of, besides Debian's source: a fragment of a configuration, and patches. */

import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

import { canonicalJson, digestOf, type Digest } from '../core/digest.ts'

/** The folder `kernel/` of this package. */
const FOLDER = path.resolve(import.meta.dirname, '../../kernel')

/** Lines of a configuration, to be merged over `make tinyconfig`. */
export const FRAGMENT = path.join(FOLDER, 'quiver.config')

/** Changes when the way it is built does, so that kernels are built again. */
const METHOD = 1

/** Absolute paths, in the order in which they are applied. */
export async function listPatches(): Promise<readonly string[]> {
  const folder = path.join(FOLDER, 'patches')
  const names = await readdir(folder)
  const patches = names.filter((name) => name.endsWith('.patch')).toSorted()
  return patches.map((name) => path.join(folder, name))
}

export async function recipeDigest(): Promise<Digest> {
  const files = [FRAGMENT, ...(await listPatches())]
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  return digestOf(canonicalJson({ method: METHOD, texts }))
}

export interface ConfigLine {
  readonly name: string
  /** Null: it is off. */
  readonly value: string | null
}

/** The lines of a kernel's configuration. What is off may be written in two ways. */
export function parseConfig(text: string): readonly ConfigLine[] {
  const lines = text.matchAll(/^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$/gm)
  return [...lines].map(([, name, value = 'n', unset = '']) => {
    return name === undefined || value === 'n'
      ? { name: name ?? unset, value: null }
      : { name, value }
  })
}

/** Lines of the fragment that `config` does not keep: the source knows them no longer, or something they need is off. */
export function linesNotKept(fragment: string, config: string): readonly string[] {
  const kept = new Map(parseConfig(config).map(({ name, value }) => [name, value]))
  return parseConfig(fragment)
    .filter(({ name, value }) => (kept.get(name) ?? null) !== value)
    .map(({ name, value }) => `${name}=${value ?? 'n'}`)
}
