/** Stores many files, wherever their bytes are, in an image store that may be here or on another node. */

import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'

import type { Digest } from '../core/digest.ts'

import { each } from './each.ts'
import type { ImageStore, Sources } from './images.ts'

/** Small files are held in memory, so many at a time that a group of commits is worth its fsyncs. */
const SMALL_BYTES_MAX = 64 * 1024
const SMALL_WIDTH = 1024
const LARGE_WIDTH = 4

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
  const missing = await store.missing([...sources.keys()])
  const sizes = new Map<Digest, number>()
  await each(missing, 8, async (digest) => sizes.set(digest, await sizeOf(sources.get(digest))))
  const isSmall = (digest: Digest): boolean => (sizes.get(digest) ?? 0) <= SMALL_BYTES_MAX
  const put = async (digest: Digest): Promise<void> => {
    await store.putFile(await openSource(sources.get(digest), isSmall(digest)), digest)
  }
  const small = missing.filter((digest) => isSmall(digest))
  const large = missing.filter((digest) => !isSmall(digest))
  await Promise.all([each(small, SMALL_WIDTH, put), each(large, LARGE_WIDTH, put)])
  return { files: missing.length, bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0) }
}

async function sizeOf(source: string | Uint8Array | undefined): Promise<number> {
  if (typeof source === 'string') return (await stat(source)).size
  return source?.length ?? 0
}

async function openSource(source: string | Uint8Array | undefined, isSmall: boolean) {
  if (typeof source !== 'string') return source ?? new Uint8Array()
  if (isSmall) return readFile(source)
  return createReadStream(source, { highWaterMark: 1024 * 1024 })
}
