/**
 * Configurations of binaries and images: canonical JSON in `<data>/configs/<hex>`, and the names that point to them,
 * in the state store. A configuration without a name is not there: it is an unfinished put or a finished removal.
 */

import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'

import * as z from 'zod'

import { canonicalJson, digestOf, hexOf, isDigest, type Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import type { Entry, Store } from '../store/store.ts'

import { errno, makeFolder, type DurableFolder } from './durable.ts'
import { corrupt } from './files.ts'
import type { BinaryConfig, ImageConfig, StoredBinary, StoredImage } from './images.ts'
import { bytesOf } from './tree.ts'

/** Parsed configurations kept in memory; each may list thousands of files. */
const CACHED_MAX = 32

const RecordSchema = z.object({ createdAtMs: z.number(), bytes: z.number() })
type Record = z.output<typeof RecordSchema>

type Config = BinaryConfig | ImageConfig
export type Stored = StoredBinary | StoredImage

export class Configs {
  readonly #folder: string
  readonly #durable: DurableFolder
  readonly #store: Store
  readonly #cache = new Map<Digest, Config>()

  private constructor(folder: string, durable: DurableFolder, store: Store) {
    this.#folder = folder
    this.#durable = durable
    this.#store = store
  }

  static async open(dataFolder: string, durable: DurableFolder, store: Store): Promise<Configs> {
    const folder = path.join(dataFolder, 'configs')
    await makeFolder(folder, 0o711)
    return new Configs(folder, durable, store)
  }

  /** Stores a checked configuration and its name. The same one again keeps the time of the first. */
  async put<C extends Config>(
    config: C,
  ): Promise<{ digest: Digest; config: C; bytes: number; createdAtMs: number }> {
    const text = canonicalJson(config)
    const digest = digestOf(text)
    const key = keyOf(config, digest)
    const known = await this.#store.get(key)
    const record = known
      ? recordOf(known)
      : { createdAtMs: Date.now(), bytes: sizeOf(config, text) }
    // Also when the name is known: the file may be damaged, and this is how a good one comes back.
    await this.#durable.commit(await this.#durable.write(text, 0o444), this.#path(digest))
    if (!known) await this.#name(key, record)
    return { digest, config, ...record }
  }

  /** @returns undefined when it has no name */
  async get(digest: Digest): Promise<Stored | undefined> {
    const config = await this.#read(digest)
    if (!config) return undefined
    const entry = await this.#store.get(keyOf(config, digest))
    return entry && stored(digest, config, recordOf(entry))
  }

  async listBinaries(name?: string): Promise<readonly StoredBinary[]> {
    const all = await this.#list(name === undefined ? 'binary/' : `binary/${name}/`)
    return all.filter((one): one is StoredBinary => one.config.kind === 'binary')
  }

  async listImages(): Promise<readonly StoredImage[]> {
    const all = await this.#list('image/')
    return all.filter((one): one is StoredImage => one.config.kind === 'image')
  }

  async remove(found: Stored): Promise<void> {
    await this.#store.commit([{ kind: 'delete', key: keyOf(found.config, found.digest) }])
    this.#cache.delete(found.digest)
    await rm(this.#path(found.digest), { force: true })
  }

  /** Deletes files that no name points to. @returns the digests that remain */
  async sweep(): Promise<readonly Digest[]> {
    const entries = await Promise.all(['binary/', 'image/'].map((p) => this.#store.list(p)))
    const named = new Set(entries.flat().map((entry) => hexOf(digestIn(entry.key))))
    for (const name of await readdir(this.#folder)) {
      if (!named.has(name)) await rm(path.join(this.#folder, name), { force: true })
    }
    return [...named].map((hex): Digest => `sha256:${hex}`)
  }

  async #name(key: string, record: Record): Promise<void> {
    const value = Buffer.from(canonicalJson(record))
    try {
      await this.#store.commit([{ kind: 'put', key, value, expected: 0 }])
    } catch (thrown) {
      // Somebody put the same one at the same time.
      if (QuiverError.from(thrown).reason !== 'REVISION_CONFLICT') throw thrown
    }
  }

  async #list(prefix: string): Promise<readonly Stored[]> {
    const found: Stored[] = []
    for (const entry of await this.#store.list(prefix)) {
      const digest = digestIn(entry.key)
      const config = await this.#read(digest)
      if (!config) throw corrupt(digest, 'the configuration is missing')
      found.push(stored(digest, config, recordOf(entry)))
    }
    return found
  }

  async #read(digest: Digest): Promise<Config | undefined> {
    const cached = this.#cache.get(digest)
    if (cached) return cached
    let text: string
    try {
      text = await readFile(this.#path(digest), 'utf8')
    } catch (thrown) {
      if (errno(thrown) === 'ENOENT') return undefined
      throw thrown
    }
    if (digestOf(text) !== digest) throw corrupt(digest, 'the configuration has changed')
    // The digest says that these are the bytes of a configuration that was checked when it was put.
    const config: Config = JSON.parse(text)
    const [oldest] = this.#cache.size < CACHED_MAX ? [] : this.#cache.keys()
    if (oldest !== undefined) this.#cache.delete(oldest)
    this.#cache.set(digest, config)
    return config
  }

  #path(digest: Digest): string {
    return path.join(this.#folder, hexOf(digest))
  }
}

function stored(digest: Digest, config: Config, record: Record): Stored {
  if (config.kind === 'binary') return { digest, config, ...record }
  return { digest, config, ...record }
}

function sizeOf(config: Config, text: string): number {
  const own = config.kind === 'image' ? Buffer.byteLength(text) : 0
  return own + bytesOf(config.tree)
}

function keyOf(config: Config, digest: Digest): string {
  if (config.kind === 'image') return `image/${hexOf(digest)}`
  return `binary/${config.name}/${config.version}/${hexOf(digest)}`
}

function digestIn(key: string): Digest {
  const digest = `sha256:${key.slice(key.lastIndexOf('/') + 1)}`
  if (isDigest(digest)) return digest
  throw new QuiverError('data_loss', 'STATE_CORRUPT', `the key "${key}" names no configuration`)
}

function recordOf(entry: Entry): Record {
  return RecordSchema.parse(JSON.parse(Buffer.from(entry.value).toString('utf8')))
}
