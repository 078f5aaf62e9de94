/**
 * Remembers the digests of files between two builds, so that only what changed is read again.
 *
 * A file is known by size, times and inode, as in git's index. A file that was modified just before it was read
 * may be modified again without any of these changing (the clock of a file system is coarse), so it is not remembered.
 */

import type { BigIntStats } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { digestOf, isDigest, type Digest } from '../core/digest.ts'

const QUIET_NS = 1_000_000_000n

export class DigestCache {
  readonly #file: string
  readonly #known: ReadonlyMap<string, string>
  readonly #seen = new Map<string, string>()

  private constructor(file: string, known: ReadonlyMap<string, string>) {
    this.#file = file
    this.#known = known
  }

  /**
   * @param folder  where caches are kept; created as needed
   * @param source  absolute path of the folder whose files these are
   */
  static async open(folder: string, source: string): Promise<DigestCache> {
    await mkdir(folder, { recursive: true })
    const file = path.join(folder, `${digestOf(source).slice(7, 23)}.digests`)
    return new DigestCache(file, parse(await readFile(file, 'utf8').catch(() => '')))
  }

  get(relative: string, status: BigIntStats): Digest | undefined {
    const line = this.#known.get(relative)
    const digest = line?.split(' ', 1)[0] ?? ''
    if (line !== lineOf(digest, status) || !isDigest(digest)) return undefined
    this.#seen.set(relative, line)
    return digest
  }

  /** @param readAtNs  the time of day when reading began */
  set(relative: string, status: BigIntStats, digest: Digest, readAtNs: bigint): void {
    const changedAtNs = status.mtimeNs > status.ctimeNs ? status.mtimeNs : status.ctimeNs
    if (readAtNs - changedAtNs < QUIET_NS) return
    this.#seen.set(relative, lineOf(digest, status))
  }

  /** Keeps what this build has seen. A cache that cannot be written costs time, nothing else. */
  async save(): Promise<void> {
    const body = JSON.stringify([...this.#seen])
    const temporary = `${this.#file}.${process.pid}`
    try {
      await writeFile(temporary, `${digestOf(body)}\n${body}`)
      await rename(temporary, this.#file)
    } catch {
      await rm(temporary, { force: true })
    }
  }
}

function lineOf(digest: string, { size, mtimeNs, ctimeNs, ino, dev }: BigIntStats): string {
  return [digest, size, mtimeNs, ctimeNs, ino, dev].join(' ')
}

/** A damaged cache is an empty one: its first line is the digest of the rest. */
function parse(text: string): ReadonlyMap<string, string> {
  const body = text.slice(text.indexOf('\n') + 1)
  if (text === '' || !text.startsWith(`${digestOf(body)}\n`)) return new Map()
  return new Map<string, string>(JSON.parse(body))
}
