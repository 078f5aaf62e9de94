/** Stores many files, wherever their bytes are, in an image store that may be here or on another node. */

import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'

import type { Digest } from '../core/digest.ts'

import { each } from './each.ts'
import type { ImageStore, Sources } from './images.ts'

/** Enough for one group of commits to form while another is written. */
const WIDTH = 64
/** Smaller files are read at once: a stream costs more than they do. */
const STREAMED_BYTES_MIN = 256 * 1024

/**
 * Puts those of `sources` that are missing.
 *
 * @returns how many files and bytes were sent
 * @throws QuiverError `invalid_argument/DIGEST_MISMATCH` when a file has changed since it was hashed,
 *   `resource_exhausted/DISK_FULL`
 */
export async function putSources(
  store: Pick<ImageStore, 'missing' | 'putFile'>,
  sources: Sources,
): Promise<{ readonly files: number; readonly bytes: number }> {
  let [files, bytesSent] = [0, 0]
  await each(await store.missing([...sources.keys()]), WIDTH, async (digest) => {
    const { bytes } = await store.putFile(await openSource(sources, digest), digest)
    files++
    bytesSent += bytes
  })
  return { files, bytes: bytesSent }
}

async function openSource(sources: Sources, digest: Digest) {
  const source = sources.get(digest) ?? new Uint8Array()
  if (typeof source !== 'string') return source
  const { size } = await stat(source)
  if (size < STREAMED_BYTES_MIN) return readFile(source)
  return createReadStream(source, { highWaterMark: 1024 * 1024 })
}
