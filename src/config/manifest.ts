/**
 * Reading `quiver.toml`, what a developer ships. The keys are in schema.ts and sections.ts, the rules between them in
 * rules.ts, and what they mean to the rest of Quiver, a `TaskSpec`, in resolve.ts.
 */

import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../core/error.ts'

import { readDocument } from './document.ts'
import { LATER } from './later.ts'
import { checkManifest } from './rules.ts'
import { ManifestSchema, type Manifest } from './schema.ts'

export type { Manifest } from './schema.ts'

export const MANIFEST_FILE = 'quiver.toml'

/**
 * @param file  where the text came from, for messages
 * @throws QuiverError `invalid_argument/MANIFEST_INVALID` with all problems, each with place, key, line and hint;
 *   `unimplemented/NOT_YET` when every problem is a feature of a later version
 */
export function parseManifest(text: string, file = MANIFEST_FILE): Manifest {
  return readDocument(
    { path: file, text },
    {
      schema: ManifestSchema,
      placeholders: { name: 'placeholder' },
      later: LATER,
      check: checkManifest,
      reason: 'MANIFEST_INVALID',
    },
  )
}

/**
 * Reads the manifest of a folder, or the file itself.
 *
 * @param target  a folder that holds `quiver.toml`, or the path of a manifest
 * @returns the manifest, the absolute path of its file and that of its folder
 * @throws QuiverError as `parseManifest`; `not_found/MANIFEST_NOT_FOUND`; `invalid_argument/MANIFEST_INVALID` when it is
 *   not UTF-8
 */
export async function loadManifest(
  target: string,
): Promise<{ readonly manifest: Manifest; readonly file: string; readonly folder: string }> {
  const isFolder = await stat(target).then(
    (found) => found.isDirectory(),
    () => !target.endsWith('.toml'),
  )
  const file = path.resolve(isFolder ? path.join(target, MANIFEST_FILE) : target)
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new QuiverError('not_found', 'MANIFEST_NOT_FOUND', `there is no readable ${file}`, {
      hint: 'Create one with "quiver new NAME --template node", or name the folder that has it.',
      cause,
    })
  })
  const shown = path.relative(process.cwd(), file)
  const manifest = parseManifest(decodeUtf8(bytes, file), shown.startsWith('..') ? file : shown)
  return { manifest, file, folder: path.dirname(file) }
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new QuiverError('invalid_argument', 'MANIFEST_INVALID', `${file} is not UTF-8 text`, {
      hint: 'Save it as UTF-8.',
      cause,
    })
  }
}
