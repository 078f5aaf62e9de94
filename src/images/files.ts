/**
 * The files that binaries and images are made of, each stored once under the digest of its bytes.
 *
 *     <data>/files/ab/ab12…     0444
 *     <data>/files/ab/ab34….x   0555
 *
 * Trees are hard links to these files, and links share their mode: so the mode is part of the name, and a
 * file is copied only when both modes are wanted. Which files are needed is not known here.
 */

import { createHash } from 'node:crypto'
import { constants, createReadStream, createWriteStream, statSync, type Stats } from 'node:fs'
import {
  chmod,
  copyFile,
  link,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  type FileHandle,
} from 'node:fs/promises'
import path from 'node:path'
import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { digestOf, hexOf, isDigest, type Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import { diskError, errno, makeFolder, syncFolder, type DurableFolder } from './durable.ts'
import { each } from './each.ts'

const WIDTH = 8
const SHARDS = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'))
/** Bytes per read while hashing: fewer turns of the event loop than the default 64 KiB. */
const CHUNK_BYTES = 512 * 1024
/** Executable or not; the first again, because a file may be renamed to it between two looks. */
const LOOKS = [false, true, false]

export interface FilesOptions {
  readonly link?: typeof link
}

/** Bytes that were taken in: in memory, or in a file that is not in the store yet. */
export interface Received {
  readonly digest: Digest
  readonly bytes: number
  readonly content: Uint8Array | string
}

/** One file on disk. A digest that is stored with both modes is listed twice. */
export interface StoredFile {
  readonly digest: Digest
  readonly path: string
  readonly bytes: number
  /** Of the last change to it or its links, milliseconds since the epoch. */
  readonly changedAtMs: number
}

export class Files {
  readonly #folder: string
  readonly #corruptFolder: string
  readonly #durable: DurableFolder
  readonly #link: typeof link
  /** The last piece of work on each digest whose links or modes are being changed. */
  readonly #turns = new Map<Digest, Promise<unknown>>()

  private constructor(dataFolder: string, durable: DurableFolder, options: FilesOptions) {
    this.#folder = path.join(dataFolder, 'files')
    this.#corruptFolder = path.join(dataFolder, 'corrupt')
    this.#durable = durable
    this.#link = options.link ?? link
  }

  static async open(
    dataFolder: string,
    durable: DurableFolder,
    options: FilesOptions = {},
  ): Promise<Files> {
    const files = new Files(dataFolder, durable, options)
    await makeFolder(files.#folder, 0o711)
    const present = new Set(await readdir(files.#folder))
    const absent = SHARDS.filter((shard) => !present.has(shard))
    await each(absent, WIDTH, (shard) => makeFolder(path.join(files.#folder, shard), 0o711))
    if (absent.length > 0) await syncFolder(files.#folder)
    return files
  }

  /**
   * Takes the bytes in and checks them; stores nothing yet. Pass the result to `keep`, once.
   *
   * @throws QuiverError `invalid_argument/DIGEST_MISMATCH`, `resource_exhausted/DISK_FULL`
   */
  async receive(content: Readable | Uint8Array, expected: Digest | undefined): Promise<Received> {
    if (content instanceof Uint8Array) {
      const digest = digestOf(content)
      checkDigest(digest, expected)
      return { digest, bytes: content.length, content }
    }
    const temporary = this.#durable.temporary()
    const hash = createHash('sha256')
    let bytes = 0
    const count = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        hash.update(chunk)
        bytes += chunk.length
        done(null, chunk)
      },
    })
    try {
      await pipeline(content, count, createWriteStream(temporary, { flags: 'wx', mode: 0o444 }))
      const digest: Digest = `sha256:${hash.digest('hex')}`
      checkDigest(digest, expected)
      await chmod(temporary, 0o444)
      return { digest, bytes, content: temporary }
    } catch (thrown) {
      await rm(temporary, { force: true })
      throw diskError(thrown)
    }
  }

  /** Stores what was received; durable when this resolves. Calls that overlap share their fsyncs. */
  async keep({ digest, bytes, content }: Received): Promise<void> {
    const found = this.#find(digest)
    if (found?.bytes === bytes) {
      await this.#durable.settled(found.path)
      if (typeof content === 'string') await rm(content)
      return
    }
    if (found) await rm(found.path, { force: true })
    await this.#makeShard(digest)
    const isWritten = typeof content === 'string'
    const temporary = isWritten ? content : await this.#durable.write(content, 0o444)
    // Asked again when it is its turn: a file that is there stays, for its links' sake.
    const isStored = (): boolean => this.#find(digest)?.bytes === bytes
    await this.#durable.commit(temporary, this.#path(digest, false), isStored)
  }

  /** Names of folders that were made when this was opened, and are gone. */
  listGone(): readonly string[] {
    return SHARDS.filter((shard) => statOf(path.join(this.#folder, shard)) === undefined)
  }

  /** Bytes of the stored file; `undefined` when it is not stored. Whole only if its size is right. */
  size(digest: Digest): number | undefined {
    return this.#find(digest)?.bytes
  }

  /**
   * Streams a file and checks it on the way: the stream fails at its end when the bytes are not right.
   *
   * @throws QuiverError `not_found/FILE_NOT_FOUND`; the stream: `data_loss/FILE_CORRUPT`
   */
  async read(digest: Digest): Promise<Readable> {
    const file = await this.#open(digest)
    const hash = createHash('sha256')
    const check = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        hash.update(chunk)
        done(null, chunk)
      },
      flush(done) {
        const isRight = `sha256:${hash.digest('hex')}` === digest
        done(isRight ? null : corrupt(digest, 'its bytes have changed'))
      },
    })
    const source = file.createReadStream({ highWaterMark: CHUNK_BYTES })
    source.once('error', (error) => check.destroy(error))
    check.once('close', () => source.destroy())
    return source.pipe(check)
  }

  /**
   * Makes `target` a hard link to the file; a copy where the file system has no links.
   *
   * @throws QuiverError `data_loss/FILE_CORRUPT` when the file is gone or has another size
   */
  async linkTo(
    digest: Digest,
    isExecutable: boolean,
    bytes: number,
    target: string,
  ): Promise<void> {
    await this.#inTurn(digest, async () => {
      const source = await this.#withMode(digest, isExecutable, bytes)
      try {
        await this.#link(source, target)
      } catch (thrown) {
        await this.#linkOtherwise(thrown, source, target)
      }
    })
  }

  /** Whether the stored bytes are those of the digest. */
  async isWhole(digest: Digest): Promise<boolean> {
    const found = this.#find(digest)
    return found !== undefined && (await digestOfFile(found.path, found.bytes)) === digest
  }

  /** Reads one file and compares. A corrupt one is set aside, so that it counts as missing and can be put again. */
  async isIntact(file: StoredFile): Promise<boolean> {
    try {
      if ((await digestOfFile(file.path, file.bytes)) === file.digest) return true
      await makeFolder(this.#corruptFolder, 0o700)
      await rename(file.path, path.join(this.#corruptFolder, path.basename(file.path)))
      return false
    } catch (thrown) {
      // Removed or given the other mode meanwhile.
      if (errno(thrown) === 'ENOENT') return true
      throw thrown
    }
  }

  /** @yields every stored file, in no order */
  async *list(): AsyncGenerator<StoredFile> {
    for (const shard of await readdir(this.#folder)) {
      const folder = path.join(this.#folder, shard)
      for (const name of await readdir(folder)) {
        const digest = `sha256:${name.replace(/\.x$/, '')}`
        const file = path.join(folder, name)
        const status = statOf(file)
        if (!status || !isDigest(digest)) continue
        yield { digest, path: file, bytes: status.size, changedAtMs: status.ctimeMs }
      }
    }
  }

  async remove(file: StoredFile): Promise<void> {
    await this.#inTurn(file.digest, () => rm(file.path, { force: true }))
  }

  /** The stored file with the wanted mode: as it is, renamed while nothing links to it, or copied. */
  async #withMode(digest: Digest, isExecutable: boolean, bytes: number): Promise<string> {
    const wanted = this.#path(digest, isExecutable)
    const mode = isExecutable ? 0o555 : 0o444
    const status = statOf(wanted)
    if (!status) {
      const other = this.#path(digest, !isExecutable)
      const found = statOf(other)
      if (!found) throw corrupt(digest, 'it is missing from the store')
      if (found.size !== bytes) throw corrupt(digest, `it has ${found.size} bytes, not ${bytes}`)
      if (found.nlink > 1) await this.#copy(other, wanted, mode)
      else {
        await rename(other, wanted)
        await chmod(wanted, mode)
      }
      return wanted
    }
    if (status.size !== bytes) throw corrupt(digest, `it has ${status.size} bytes, not ${bytes}`)
    if ((status.mode & 0o7777) !== mode) await chmod(wanted, mode)
    return wanted
  }

  async #linkOtherwise(thrown: unknown, source: string, target: string): Promise<void> {
    const code = errno(thrown)
    const { mode } = await stat(source)
    if (code === 'EMLINK') {
      // The old links keep the old file; the store goes on with a fresh copy.
      await this.#copy(source, source, mode & 0o777)
      await this.#link(source, target)
      return
    }
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'ENOTSUP') throw diskError(thrown)
    await copyFile(source, target, constants.COPYFILE_FICLONE)
    await chmod(target, mode & 0o777)
  }

  async #copy(from: string, to: string, mode: number): Promise<void> {
    const temporary = this.#durable.temporary()
    try {
      await copyFile(from, temporary, constants.COPYFILE_FICLONE)
      await chmod(temporary, mode)
    } catch (thrown) {
      await rm(temporary, { force: true })
      throw diskError(thrown)
    }
    await this.#durable.commit(temporary, to)
  }

  #find(digest: Digest): { path: string; bytes: number } | undefined {
    for (const isExecutable of LOOKS) {
      const file = this.#path(digest, isExecutable)
      const status = statOf(file)
      if (status) return { path: file, bytes: status.size }
    }
    return undefined
  }

  async #open(digest: Digest): Promise<FileHandle> {
    for (const isExecutable of LOOKS) {
      try {
        return await open(this.#path(digest, isExecutable))
      } catch (thrown) {
        if (errno(thrown) !== 'ENOENT') throw thrown
      }
    }
    throw new QuiverError('not_found', 'FILE_NOT_FOUND', `the file ${digest} is not stored`)
  }

  /** It is there, unless somebody has deleted it under us: what is stored again must find its place. */
  async #makeShard(digest: Digest): Promise<void> {
    const folder = path.dirname(this.#path(digest, false))
    if (statOf(folder) !== undefined) return
    await makeFolder(this.#folder, 0o711)
    await makeFolder(folder, 0o711)
    await syncFolder(this.#folder)
  }

  #path(digest: Digest, isExecutable: boolean): string {
    const hex = hexOf(digest)
    return path.join(this.#folder, hex.slice(0, 2), isExecutable ? `${hex}.x` : hex)
  }

  async #inTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(digest) ?? Promise.resolve()
    const turn = before.then(work, work)
    this.#turns.set(digest, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(digest) === turn) this.#turns.delete(digest)
    }
  }
}

/** @param bytes  its size; small files are read at once, because a stream costs more than they do */
export async function digestOfFile(file: string, bytes: number): Promise<Digest> {
  if (bytes <= CHUNK_BYTES) return digestOf(await readFile(file))
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: CHUNK_BYTES }), async (chunks) => {
    for await (const chunk of chunks) hash.update(chunk)
  })
  return `sha256:${hash.digest('hex')}`
}

export function corrupt(digest: Digest, why: string): QuiverError {
  return new QuiverError('data_loss', 'FILE_CORRUPT', `the stored file ${digest}: ${why}`, {
    hint: 'Deploy or import what it belongs to again; that stores a good copy.',
    details: { digest },
  })
}

function checkDigest(digest: Digest, expected: Digest | undefined): void {
  if (expected === undefined || digest === expected) return
  const message = `the bytes have the digest ${digest}, not ${expected}`
  throw new QuiverError('invalid_argument', 'DIGEST_MISMATCH', message, {
    hint: 'The file changed while it was read, or was damaged on the way. Try again.',
  })
}

/**
 * Synchronous, because a deployment asks for thousands of files: a look at a cached name takes microseconds, a trip
 * through the thread pool ten times that.
 */
function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false })
}
