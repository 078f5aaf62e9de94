/** Images without a manifest: everything is as a manifest would have it by default. */

import path from 'node:path'

import { parseManifest } from '../config/manifest.ts'
import { resolveManifest } from '../config/resolve.ts'
import type { Digest } from '../core/digest.ts'
import type { ImageConfig, TreeEntry } from '../images/images.ts'

/** What runs: a binary by its name (`node@26`), or a file by its path. */
export type BareProgram = { readonly runtime: string } | { readonly file: string }

const NAME_LENGTH_MAX = 40

/** @param name  of the binary, or of the file */
export function buildBareImage(
  name: string,
  program: BareProgram,
  binary: Digest,
  tree: readonly TreeEntry[] = [],
): ImageConfig {
  const [key = '', value = ''] = Object.entries(program)[0] ?? []
  const text = `name = "${taskName(name)}"\n${key} = ${JSON.stringify(value)}\n`
  return {
    schema: 1,
    kind: 'image',
    name: taskName(name),
    version: null,
    title: null,
    author: null,
    tags: [],
    binary,
    binaryReference: value,
    spec: resolveManifest(parseManifest(text)),
    configs: {},
    tree,
  }
}

/** `My App_2.wasm` is `my-app-2`. */
export function taskName(file: string): string {
  const plain = path.basename(file, path.extname(file)).toLowerCase()
  const name = plain.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '')
  return name.slice(0, NAME_LENGTH_MAX).replace(/-+$/, '') || 'run'
}
