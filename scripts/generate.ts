/**
 * Writes every generated file of this repository, or with `--check` names those that are out of date.
 *
 * To add one, add a line to `GENERATED`: a path from the root, and a function that returns the whole text.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { buildOpenapi } from '../src/api/openapi.ts'
import { buildCliReference } from '../src/cli/reference.ts'
import {
  buildManifestReference,
  buildManifestSchema,
  buildNodeReference,
} from '../src/config/reference.ts'
import { GUEST_FILES } from '../src/guest/bindings.ts'

import { buildErrorReference } from './reference-errors.ts'
import { buildWasmLanguages } from './reference-wasm-languages.ts'

interface GeneratedFile {
  readonly path: string
  build(): string | Promise<string>
}

const GENERATED: readonly GeneratedFile[] = [
  { path: 'schema/quiver.json', build: buildManifestSchema },
  { path: 'docs/reference/manifest.md', build: buildManifestReference },
  { path: 'docs/reference/node.md', build: buildNodeReference },
  { path: 'docs/reference/openapi.json', build: buildOpenapi },
  { path: 'docs/reference/cli.md', build: buildCliReference },
  { path: 'docs/reference/errors.md', build: buildErrorReference },
  { path: 'docs/reference/wasm-languages.md', build: buildWasmLanguages },
  ...GUEST_FILES,
]

const ROOT = path.join(import.meta.dirname, '..')

/** Paths of generated files whose text is not what their generator writes. */
export async function findStale(): Promise<readonly string[]> {
  const files = await Promise.all(
    GENERATED.map(async (file) => {
      const stored = await readFile(path.join(ROOT, file.path), 'utf8').catch(() => undefined)
      return stored === (await file.build()) ? [] : [file.path]
    }),
  )
  return files.flat()
}

async function writeAll(): Promise<void> {
  for (const file of GENERATED) {
    const target = path.join(ROOT, file.path)
    await mkdir(path.dirname(target), { recursive: true })
    await writeFile(target, await file.build())
  }
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== '--check')
  if (unknown !== undefined) {
    process.stderr.write(
      `error: unknown argument ${unknown}\nusage: scripts/generate.ts [--check]\n`,
    )
    return 64
  }
  if (!args.includes('--check')) {
    await writeAll()
    return 0
  }
  const stale = await findStale()
  for (const file of stale) process.stderr.write(`${file} is out of date: run "npm run generate"\n`)
  return stale.length === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
