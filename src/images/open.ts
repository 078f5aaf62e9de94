/** Opens the image store of a node: wires files, trees, configurations and recipes; holds the locks between them. */

import path from 'node:path'
import type { Readable } from 'node:stream'

import { steadyMs } from '../core/clock.ts'
import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import type { RuntimeReference } from '../core/name.ts'
import type { Store } from '../store/store.ts'

import { BinaryResolver } from './binary-resolver.ts'
import { parseBinaryConfig, parseImageConfig } from './config-schema.ts'
import { Configs, type Stored } from './configs.ts'
import { DurableFolder, makeFolder } from './durable.ts'
import { each } from './each.ts'
import { corrupt, Files, type FilesOptions } from './files.ts'
import type { BinaryConfig, CorruptFile, ImageConfig, ImageStore } from './images.ts'
import type { StoredBinary, StoredImage, TreeEntry } from './images.ts'
import { SharedLock } from './lock.ts'
import { missingSkeleton } from './tree.ts'
import { Trees } from './trees.ts'

/** A file that was asked for or stored so recently may belong to a put that is under way. */
const GRACE_MS = 15 * 60_000

export interface ImageStoreOptions extends FilesOptions {
  /** Absolute. One process at a time may have it open; the caller holds the lock. Created as needed. */
  readonly dataFolder: string
  readonly store: Store
  /** Absolute; holds `*.toml`. */
  readonly recipesFolder: string
  readonly graceMs?: number
  /** For `graceMs`: milliseconds since the epoch. Default `steadyMs`: a jump of the clock must not make a put old. */
  readonly nowMs?: () => number
}

/** Opens the store and deletes what a killed process left unfinished. Does not close `store` with itself. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const { dataFolder, store, recipesFolder } = options
  await makeFolder(dataFolder, 0o711)
  const durable = await DurableFolder.open(path.join(dataFolder, 'incoming'))
  const files = await Files.open(dataFolder, durable, options)
  const trees = await Trees.open(dataFolder, files)
  const configs = await Configs.open(dataFolder, durable, store)
  const { graceMs = GRACE_MS, nowMs = steadyMs } = options
  return new NodeImageStore({ files, trees, configs, recipesFolder, graceMs, nowMs })
}

interface Parts {
  readonly files: Files
  readonly trees: Trees
  readonly configs: Configs
  readonly recipesFolder: string
  readonly graceMs: number
  readonly nowMs: () => number
}

class NodeImageStore implements ImageStore {
  readonly #files: Files
  readonly #trees: Trees
  readonly #configs: Configs
  readonly #resolver: BinaryResolver
  readonly #graceMs: number
  readonly #nowMs: () => number
  /** Puts and materialisations share it; garbage collection has it alone. */
  readonly #lock = new SharedLock()
  /** When a file was last asked for or stored, milliseconds since the epoch. */
  readonly #touchedAtMs = new Map<Digest, number>()
  /** What `verify` found, until it is put again. */
  readonly #corrupt = new Map<Digest, CorruptFile>()

  constructor(parts: Parts) {
    this.#files = parts.files
    this.#trees = parts.trees
    this.#configs = parts.configs
    this.#graceMs = parts.graceMs
    this.#nowMs = parts.nowMs
    this.#resolver = new BinaryResolver(parts.recipesFolder, this, (name) =>
      this.#configs.listBinaries(name),
    )
  }

  async missing(digests: readonly Digest[]): Promise<readonly Digest[]> {
    return this.#lock.shared(async () => {
      for (const digest of digests) this.#touch(digest)
      return [...new Set(digests)].filter((digest) => this.#files.size(digest) === undefined)
    })
  }

  async putFile(
    content: Readable | Uint8Array,
    expected?: Digest,
  ): Promise<{ digest: Digest; bytes: number }> {
    // No lock while bytes arrive, which may take long: what was received is not in the store yet.
    const received = await this.#files.receive(content, expected)
    const { digest, bytes } = received
    await this.#lock.shared(async () => {
      this.#touch(digest)
      await this.#files.keep(received)
      await this.#repairTrees(digest)
    })
    return { digest, bytes }
  }

  async readFile(digest: Digest): Promise<Readable> {
    return this.#files.read(digest)
  }

  async putBinary(config: BinaryConfig): Promise<StoredBinary> {
    const checked = parseBinaryConfig(config)
    return this.#lock.shared(async () => {
      await this.#checkFiles(checked.tree, `binary ${checked.name}`)
      return this.#configs.put(checked)
    })
  }

  async putImage(config: ImageConfig): Promise<StoredImage> {
    const checked = parseImageConfig(config)
    return this.#lock.shared(async () => {
      await this.getBinary(checked.binary)
      await this.#checkFiles(checked.tree, `image ${checked.name}`)
      return this.#configs.put(checked)
    })
  }

  async resolveBinary(
    reference: RuntimeReference,
    { isFresh = false }: { readonly isFresh?: boolean } = {},
  ): Promise<StoredBinary> {
    return this.#resolver.resolve(reference, isFresh)
  }

  async getBinary(digest: Digest): Promise<StoredBinary> {
    const found = await this.#configs.get(digest)
    if (found && isBinary(found)) return found
    throw new QuiverError('not_found', 'BINARY_NOT_FOUND', `the binary ${digest} is not stored`, {
      hint: 'List the binaries of this node with "quiver binary ls".',
    })
  }

  async getImage(digest: Digest): Promise<StoredImage> {
    const found = await this.#configs.get(digest)
    if (found && !isBinary(found)) return found
    throw new QuiverError('not_found', 'IMAGE_NOT_FOUND', `the image ${digest} is not stored`, {
      hint: 'List the images of this node with "quiver image ls".',
    })
  }

  async listBinaries(): Promise<readonly StoredBinary[]> {
    return this.#configs.listBinaries()
  }

  async listImages(): Promise<readonly StoredImage[]> {
    return this.#configs.listImages()
  }

  async removeBinary(digest: Digest, inUse: ReadonlyMap<Digest, string>): Promise<void> {
    await this.#lock.alone(async () => {
      const found = await this.getBinary(digest)
      const images = await this.listImages()
      const image = images.find(({ config }) => config.binary === digest)
      const user = inUse.get(digest) ?? (image && `the image ${image.config.name}`)
      if (user !== undefined) throw isInUse('binary', found.config.name, user)
      await this.#configs.remove(found)
    })
  }

  async removeImage(digest: Digest, inUse: ReadonlyMap<Digest, string>): Promise<void> {
    await this.#lock.alone(async () => {
      const found = await this.getImage(digest)
      const user = inUse.get(digest)
      if (user !== undefined) throw isInUse('image', found.config.name, user)
      await this.#configs.remove(found)
    })
  }

  async materialise(digest: Digest): Promise<{ readonly path: string; readonly isNew: boolean }> {
    const folder = this.#trees.path(digest)
    if (this.#trees.isThere(digest)) return { path: folder, isNew: false }
    return this.#lock.shared(async () => {
      const { config } = await this.#get(digest)
      const skeleton = config.kind === 'binary' ? missingSkeleton(config.tree, config.name) : []
      return { path: folder, isNew: await this.#trees.make(digest, config.tree, skeleton) }
    })
  }

  async collectGarbage(): Promise<{ readonly files: number; readonly bytes: number }> {
    return this.#lock.alone(async () => {
      const wanted = new Set<Digest>()
      const configs = new Set(await this.#configs.sweep())
      for (const digest of configs) {
        const { config } = await this.#get(digest)
        for (const entry of config.tree) if (entry.kind === 'file') wanted.add(entry.digest)
      }
      const trees = this.#trees.list().filter((hex) => !configs.has(`sha256:${hex}`))
      await each(trees, 1, (hex) => this.#trees.remove(hex))
      return this.#removeFilesBut(wanted)
    })
  }

  async findMissing(): Promise<readonly string[]> {
    const shards = this.#files.listGone()
    const lost = shards.length === 0 ? [] : [`${shards.length} folders of files/ are gone`]
    return [...lost, ...this.#trees.listGone().map((hex) => `trees/${hex} is gone`)]
  }

  async verify(): Promise<readonly CorruptFile[]> {
    const damaged = new Set<Digest>()
    for await (const file of this.#files.list()) {
      if (!(await this.#files.isIntact(file))) damaged.add(file.digest)
    }
    if (damaged.size === 0) return []
    const users = [...(await this.listBinaries()), ...(await this.listImages())]
    const corruptFiles = [...damaged].map((digest) => ({
      digest,
      users: users.filter((user) => holds(user.config.tree, digest)).map((user) => user.digest),
    }))
    for (const file of corruptFiles) this.#corrupt.set(file.digest, file)
    return corruptFiles
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Waits for what is under way; nothing is kept open.
    await this.#lock.alone(async () => {})
  }

  async #get(digest: Digest): Promise<Stored> {
    const found = await this.#configs.get(digest)
    if (found) return found
    throw new QuiverError('not_found', 'IMAGE_NOT_FOUND', `nothing is stored as ${digest}`)
  }

  async #checkFiles(tree: readonly TreeEntry[], what: string): Promise<void> {
    for (const entry of tree) {
      if (entry.kind !== 'file') continue
      this.#touch(entry.digest)
      const bytes = this.#files.size(entry.digest)
      if (bytes === entry.bytes) continue
      if (bytes !== undefined) throw await this.#wrongSize(entry, bytes, what)
      const message = `${what}: the file "${entry.path}" (${entry.digest}) is not stored`
      throw new QuiverError('failed_precondition', 'FILES_MISSING', message, {
        hint: 'Store every file before the configuration that lists it.',
      })
    }
  }

  /** Either the stored file is damaged, or the tree is wrong about it. */
  async #wrongSize(
    { digest, path: place, bytes: claimed }: TreeEntry & { readonly kind: 'file' },
    bytes: number,
    what: string,
  ): Promise<QuiverError> {
    if (!(await this.#files.isWhole(digest))) return corrupt(digest, 'its bytes have changed')
    const message = `${what}: "${place}" is said to have ${claimed} bytes; ${digest} has ${bytes}`
    return new QuiverError('invalid_argument', 'TREE_INVALID', message)
  }

  async #removeFilesBut(wanted: ReadonlySet<Digest>): Promise<{ files: number; bytes: number }> {
    const before = this.#nowMs() - this.#graceMs
    for (const [digest, atMs] of this.#touchedAtMs) {
      if (atMs < before) this.#touchedAtMs.delete(digest)
    }
    let [files, bytes] = [0, 0]
    for await (const file of this.#files.list()) {
      const isYoung = file.changedAtMs > before || this.#touchedAtMs.has(file.digest)
      if (wanted.has(file.digest) || isYoung) continue
      await this.#files.remove(file)
      files++
      bytes += file.bytes
    }
    return { files, bytes }
  }

  /** Trees hold links to a corrupt file even when a good one is in the store again. */
  async #repairTrees(digest: Digest): Promise<void> {
    const file = this.#corrupt.get(digest)
    if (!file) return
    for (const user of file.users.filter((one) => this.#trees.has(one))) {
      const { config } = await this.#get(user)
      const entries = config.tree.filter((entry) => entry.kind === 'file')
      const damaged = entries.filter((entry) => entry.digest === digest)
      await each(damaged, 1, (entry) => this.#trees.relink(user, entry))
    }
    this.#corrupt.delete(digest)
  }

  #touch(digest: Digest): void {
    this.#touchedAtMs.set(digest, this.#nowMs())
  }
}

function isBinary(found: Stored): found is StoredBinary {
  return found.config.kind === 'binary'
}

function holds(tree: readonly TreeEntry[], digest: Digest): boolean {
  return tree.some((entry) => entry.kind === 'file' && entry.digest === digest)
}

function isInUse(kind: 'binary' | 'image', name: string, user: string): QuiverError {
  return new QuiverError(
    'failed_precondition',
    kind === 'binary' ? 'BINARY_IN_USE' : 'IMAGE_IN_USE',
    `${name} is used by ${user}`,
    {
      hint: 'Remove what uses it first.',
    },
  )
}
