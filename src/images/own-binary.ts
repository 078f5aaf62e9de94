/**
 * A binary that Quiver itself needs and nobody names: made when it is first wanted, and again when what it is made of has changed.
 * Beyond that it is a binary like any other. What is in it, `executor-binary.ts` and `machine-binary.ts` say.
 */

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import path from 'node:path'

import { hexOf, type Digest } from '../core/digest.ts'

import type { BuiltBinary } from './elf-binary.ts'
import type { ImageStore, StoredBinary } from './images.ts'
import { putSources } from './sources.ts'

export type OwnImages = Pick<
  ImageStore,
  | 'collectGarbage'
  | 'listBinaries'
  | 'materialise'
  | 'missing'
  | 'putBinary'
  | 'putFile'
  | 'removeBinary'
>

export interface OwnSource {
  /** Of the binary; no recipe has it. */
  readonly name: string
  /** End of its version: as long as it is the same, so is the binary. Cheap to find: it is asked for when a node starts. */
  fingerprint(): Promise<string>
  /** @param fingerprint  to be the end of the version, behind a `-` */
  build(fingerprint: string): Promise<BuiltBinary>
}

export interface OwnTree {
  /** Folder of the materialised tree. */
  readonly path: string
  readonly version: string
}

export class OwnBinary {
  readonly #images: OwnImages
  readonly #source: OwnSource
  #tree: Promise<OwnTree> | undefined

  constructor(images: OwnImages, source: OwnSource) {
    this.#images = images
    this.#source = source
  }

  /** Made on first use. */
  async tree(): Promise<OwnTree> {
    this.#tree ??= this.#make()
    try {
      return await this.#tree
    } catch (thrown) {
      this.#tree = undefined
      throw thrown
    }
  }

  /** Removes those of other versions, which an upgrade has left. @param treesInUse  folders that instances have mounted: they stay */
  async removeOthers(treesInUse: ReadonlySet<string>): Promise<void> {
    const used = new Set([...treesInUse].map((tree) => path.basename(tree)))
    const unused = (await this.#images.listBinaries()).filter(
      ({ digest, config }) => config.name === this.#source.name && !used.has(hexOf(digest)),
    )
    if (unused.length === 0) return
    const current = `-${await this.#source.fingerprint()}`
    const others = unused.filter(({ config }) => !config.version.endsWith(current))
    for (const { digest } of others) await this.#images.removeBinary(digest, new Map())
    if (others.length > 0) await this.#images.collectGarbage()
  }

  async #make(): Promise<OwnTree> {
    const { name } = this.#source
    const fingerprint = await this.#source.fingerprint()
    const stored = (await this.#images.listBinaries()).find(
      ({ config }) => config.name === name && config.version.endsWith(`-${fingerprint}`),
    )
    const binary = stored ?? (await this.#store(fingerprint))
    const digest: Digest = binary.digest
    return {
      path: (await this.#images.materialise(digest)).path,
      version: binary.config.version,
    }
  }

  async #store(fingerprint: string): Promise<StoredBinary> {
    const built = await this.#source.build(fingerprint)
    await putSources(this.#images, built.sources)
    return await this.#images.putBinary(built.config)
  }
}

/** Files are told by their sizes and times, and not read. @throws Error `ENOENT` */
export async function fingerprintOf(files: readonly string[], also: string): Promise<string> {
  const hash = createHash('sha256').update(also)
  const statuses = await Promise.all(files.map((file) => stat(file)))
  for (const [index, { size, mtimeMs }] of statuses.entries()) {
    hash.update(`${files[index]} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 12)
}
