/**
 * Trees as folders: made once from hard links, then mounted by any number of instances. A tree is complete when it
 * has its final name, whatever was killed before. What belongs into a tree is decided by `tree.ts` and the callers.
 */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'

import { hexOf, type Digest } from '../core/digest.ts'

import { diskError, makeFolder, syncFolder, writeNew } from './durable.ts'
import { each } from './each.ts'
import type { Files } from './files.ts'
import type { TreeEntry } from './images.ts'
import { foldersOf, type SkeletonEntry } from './tree.ts'

const WIDTH = 8

export class Trees {
  readonly #folder: string
  readonly #files: Files
  /** Complete trees. */
  readonly #complete: Set<string>
  readonly #underWay = new Map<Digest, Promise<boolean>>()

  private constructor(folder: string, files: Files, complete: ReadonlySet<string>) {
    this.#folder = folder
    this.#files = files
    this.#complete = new Set(complete)
  }

  /** Deletes what an earlier process left unfinished. */
  static async open(dataFolder: string, files: Files): Promise<Trees> {
    const folder = path.join(dataFolder, 'trees')
    await makeFolder(folder, 0o711)
    const names = await readdir(folder)
    const complete = new Set(names.filter((name) => /^[0-9a-f]{64}$/.test(name)))
    const leftovers = names.filter((name) => !complete.has(name))
    await each(leftovers, WIDTH, (name) => rm(path.join(folder, name), { recursive: true }))
    return new Trees(folder, files, complete)
  }

  has(digest: Digest): boolean {
    return this.#complete.has(hexOf(digest))
  }

  /** Asks the disk: trees are made again where somebody has deleted them under us. The name alone is in memory. */
  isThere(digest: Digest): boolean {
    if (!this.has(digest)) return false
    if (existsSync(this.path(digest))) return true
    this.#complete.delete(hexOf(digest))
    return false
  }

  /** Those that were there and are gone, as hexadecimal digits. */
  listGone(): readonly string[] {
    return this.list().filter((hex) => !existsSync(path.join(this.#folder, hex)))
  }

  path(digest: Digest): string {
    return path.join(this.#folder, hexOf(digest))
  }

  /** The digests of all complete trees, as hexadecimal digits. */
  list(): readonly string[] {
    return [...this.#complete]
  }

  /**
   * Makes the tree unless it is there. Calls that overlap make it once.
   *
   * @returns whether this call made it
   * @throws QuiverError `data_loss/FILE_CORRUPT`, `resource_exhausted/DISK_FULL`
   */
  async make(
    digest: Digest,
    entries: readonly TreeEntry[],
    skeleton: readonly SkeletonEntry[],
  ): Promise<boolean> {
    if (this.isThere(digest)) return false
    const other = this.#underWay.get(digest)
    if (other) {
      await other
      return false
    }
    const making = this.#make(digest, entries, skeleton)
    this.#underWay.set(digest, making)
    try {
      return await making
    } finally {
      this.#underWay.delete(digest)
    }
  }

  /** Takes the final name away first, so that a tree that is half deleted is never seen. */
  async remove(hex: string): Promise<void> {
    if (!this.#complete.delete(hex)) return
    const doomed = this.#temporary(hex)
    await rename(path.join(this.#folder, hex), doomed)
    await rm(doomed, { recursive: true })
  }

  /** Puts a good copy in the place of a corrupt file, in a tree that may be mounted. */
  async relink(digest: Digest, entry: TreeEntry & { readonly kind: 'file' }): Promise<void> {
    const temporary = this.#temporary('relink')
    await this.#files.linkTo(entry.digest, entry.isExecutable, entry.bytes, temporary)
    await rename(temporary, path.join(this.path(digest), entry.path))
  }

  async #make(
    digest: Digest,
    entries: readonly TreeEntry[],
    skeleton: readonly SkeletonEntry[],
  ): Promise<boolean> {
    const root = this.#temporary(hexOf(digest))
    try {
      await makeFolder(this.#folder, 0o711)
      await this.#fill(root, entries, skeleton)
      await rename(root, this.path(digest))
    } catch (thrown) {
      await rm(root, { recursive: true, force: true })
      throw diskError(thrown)
    }
    await syncFolder(this.#folder)
    this.#complete.add(hexOf(digest))
    return true
  }

  async #fill(
    root: string,
    entries: readonly TreeEntry[],
    skeleton: readonly SkeletonEntry[],
  ): Promise<void> {
    await makeFolder(root, 0o755)
    const folders = foldersOf([...entries, ...skeleton])
    for (const folder of folders) {
      await makeFolder(path.join(root, folder), 0o755)
    }
    await each(entries, WIDTH, async (entry) => {
      const target = path.join(root, entry.path)
      if (entry.kind === 'symlink') await symlink(entry.target, target)
      if (entry.kind !== 'file') return
      await this.#files.linkTo(entry.digest, entry.isExecutable, entry.bytes, target)
    })
    await each(skeleton, WIDTH, async (entry) => {
      const target = path.join(root, entry.path)
      if (entry.kind === 'symlink') await symlink(entry.target, target)
      if (entry.kind === 'file') await writeNew(target, '', 0o444)
    })
    // Names must be on disk before the tree gets its own: after a power cut a named tree is a whole one.
    await each(folders, WIDTH, (folder) => syncFolder(path.join(root, folder)))
    await syncFolder(root)
  }

  #temporary(name: string): string {
    return path.join(this.#folder, `${name}.tmp-${randomBytes(6).toString('hex')}`)
  }
}
