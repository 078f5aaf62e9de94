/** The files of an image, read for an executor, which has none of its own. */

import { glob, readFile, stat } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'

const BYTES_MAX = 64 * 1024 * 1024
const FILES_MAX = 10_000

/**
 * Path in the image → bytes. Symlinks are what they lead to, which is always in the image.
 *
 * @throws QuiverError `resource_exhausted/MODULE_FILES_TOO_LARGE`
 */
export async function readImageFiles(tree: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  let total = 0
  for (const name of (await Array.fromAsync(glob('**', { cwd: tree }))).toSorted()) {
    const file = path.join(tree, name)
    const status = await stat(file)
    if (!status.isFile()) continue
    total += status.size
    if (total > BYTES_MAX || files.size >= FILES_MAX) throw tooLarge()
    files.set(name, await readFile(file))
  }
  return files
}

function tooLarge(): QuiverError {
  const message = `the files of the image are more than ${FILES_MAX}, or have more than ${BYTES_MAX} bytes`
  return new QuiverError('resource_exhausted', 'MODULE_FILES_TOO_LARGE', message, {
    hint: 'Leave out with .quiverignore what the module does not read, or set isolation = "sandbox".',
  })
}
