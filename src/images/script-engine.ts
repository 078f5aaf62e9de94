/**
 * The binary that runs scripts: QuickJS, as the npm package `quickjs-wasi` ships it. It is stored once, and every script is an image
 * of its own that refers to it. The executor of the same version of Quiver drives it, so there is one version and no choice.
 */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

import type { BuiltBinary } from './elf-binary.ts'
import type { StoredBinary } from './images.ts'
import { wasmBinary } from './wasm-binary.ts'

const NAME = 'quickjs'
/** What it may be called in `runtime`, and by `quiver run`. */
export const ENGINE_NAMES: ReadonlySet<string> = new Set([NAME, 'js', 'javascript'])

/** The engine of this version, if it is stored. */
export async function findEngine(
  list: (name: string) => Promise<readonly StoredBinary[]>,
): Promise<StoredBinary | undefined> {
  const version = await engineVersion()
  const stored = await list(NAME)
  return stored.find(({ config }) => config.version === version)
}

/** @throws QuiverError `not_found/HOST_FILE_MISSING` */
export async function buildEngine(): Promise<BuiltBinary> {
  const built = await wasmBinary(locate('quickjs.wasm'), NAME)
  return { ...built, config: { ...built.config, version: await engineVersion() } }
}

async function engineVersion(): Promise<string> {
  const text = await readFile(locate('package.json'), 'utf8')
  const { version }: { readonly version: string } = JSON.parse(text)
  return version
}

function locate(file: string): string {
  return createRequire(import.meta.url).resolve(`quickjs-wasi/${file}`)
}
