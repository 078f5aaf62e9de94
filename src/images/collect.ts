/**
 * What goes into an image from a source folder: its files by digest, in a stable order, without what is left out.
 * Same files, same tree: owners, times and all of a mode but "executable" do not count. Reads only.
 */

import type { BigIntStats, Dirent } from 'node:fs'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import path from 'node:path'

import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import { DigestCache } from './digest-cache.ts'
import { errno } from './durable.ts'
import { each } from './each.ts'
import { digestOfFile } from './files.ts'
import { buildFilter, IGNORE_FILE, type LeftOutReason } from './ignore-file.ts'
import type { Sources, TreeEntry } from './images.ts'
import { comparePaths, symlinkStaysInside, tooLarge } from './tree.ts'
import { TREE_BYTES_MAX, TREE_ENTRIES_MAX } from './tree.ts'

const WIDTH = 8
const LIMITS = { entries: TREE_ENTRIES_MAX, bytes: TREE_BYTES_MAX }

export interface Collected {
  readonly tree: readonly TreeEntry[]
  readonly sources: Sources
  /** A folder that is left out stands for all that is in it. */
  readonly leftOut: readonly LeftOut[]
  /** Files that had to be read, because nothing was known about them or they changed. */
  readonly filesRead: number
}

export interface LeftOut {
  readonly path: string
  readonly reason: LeftOutReason
}

export interface CollectOptions {
  /** Where digests are remembered between builds; nothing is remembered without it. */
  readonly cacheFolder?: string
  /** Time of day in nanoseconds since the epoch. */
  readonly nowNs?: () => bigint
  /** As in `tree.ts` unless a test says otherwise. */
  readonly limits?: TreeLimits
}

interface TreeLimits {
  readonly entries: number
  readonly bytes: number
}

/**
 * @param source  absolute path of the folder
 * @throws QuiverError `not_found/SOURCE_NOT_FOUND`, `invalid_argument/PATH_ESCAPES` (a symlink that is absolute or leads
 *   out), `invalid_argument/FILE_UNSUPPORTED` (socket, device, pipe), `invalid_argument/FILE_NAME_INVALID` (not UTF-8),
 *   `failed_precondition/FILE_CHANGED` (while it was read), `resource_exhausted/TREE_TOO_LARGE`
 */
export async function collect(source: string, options: CollectOptions = {}): Promise<Collected> {
  const filter = buildFilter(await readIgnoreFile(source))
  const walk = new Walk(source, filter, options.limits ?? LIMITS)
  await walk.folder('')
  const cache =
    options.cacheFolder === undefined
      ? undefined
      : await DigestCache.open(options.cacheFolder, source)
  const hasher = new Hasher(source, cache, options.nowNs ?? now)
  await each(walk.files, WIDTH, (file) => hasher.add(file))
  await cache?.save()
  const tree = [...walk.entries, ...hasher.entries].toSorted((a, b) => comparePaths(a.path, b.path))
  const leftOut = walk.leftOut.toSorted((a, b) => comparePaths(a.path, b.path))
  return { tree, sources: hasher.sources, leftOut, filesRead: hasher.filesRead }
}

interface FoundFile {
  readonly path: string
  readonly status: BigIntStats
}

/** Lists a folder, all the way down. */
class Walk {
  readonly files: FoundFile[] = []
  readonly entries: TreeEntry[] = []
  readonly leftOut: LeftOut[] = []
  readonly #source: string
  readonly #filter: ReturnType<typeof buildFilter>
  readonly #limits: TreeLimits
  #bytes = 0n

  constructor(source: string, filter: ReturnType<typeof buildFilter>, limits: TreeLimits) {
    this.#source = source
    this.#limits = limits
    this.#filter = filter
  }

  /** @returns whether anything in it was taken */
  async folder(relative: string): Promise<boolean> {
    const folders: string[] = []
    let isAnyTaken = false
    await each(await this.#read(relative), WIDTH, async (one) => {
      const name = textOf(one.name, relative)
      const here = relative === '' ? name : `${relative}/${name}`
      const reason = this.#filter(here, one.isDirectory())
      if (reason !== null) {
        this.leftOut.push({ path: here, reason })
        return
      }
      isAnyTaken = true
      if (one.isDirectory()) folders.push(here)
      else await this.#take(here, one)
    })
    for (const here of folders) {
      const isEmpty = !(await this.folder(here))
      if (isEmpty) this.#push({ kind: 'folder', path: here })
    }
    return isAnyTaken
  }

  async #take(here: string, one: Dirent<Buffer>): Promise<void> {
    if (one.isSymbolicLink()) {
      const absolute = path.join(this.#source, here)
      const target = textOf(await readlink(absolute, 'buffer'), here)
      if (!symlinkStaysInside(here, target)) throw escapes(here, target)
      this.#push({ kind: 'symlink', path: here, target })
      return
    }
    const status = await statusOf(this.#source, here)
    if (!status.isFile()) throw unsupported(here, one)
    this.#bytes += status.size
    if (this.#bytes > this.#limits.bytes) {
      throw tooLarge(`${this.#source} has more than ${this.#limits.bytes} bytes`)
    }
    this.files.push({ path: here, status })
    this.#checkCount()
  }

  #push(entry: TreeEntry): void {
    this.entries.push(entry)
    this.#checkCount()
  }

  #checkCount(): void {
    if (this.files.length + this.entries.length <= this.#limits.entries) return
    throw tooLarge(`${this.#source} has more than ${this.#limits.entries} files`)
  }

  async #read(relative: string): Promise<readonly Dirent<Buffer>[]> {
    const folder = path.join(this.#source, relative)
    try {
      return await readdir(folder, { withFileTypes: true, encoding: 'buffer' })
    } catch (cause) {
      const code = errno(cause)
      if (relative !== '' || (code !== 'ENOENT' && code !== 'ENOTDIR')) throw cause
      throw new QuiverError('not_found', 'SOURCE_NOT_FOUND', `there is no folder ${folder}`, {
        hint: 'Name the folder that holds quiver.toml.',
        cause,
      })
    }
  }
}

/** Turns files into entries, reading those whose digest is not known. */
class Hasher {
  readonly entries: TreeEntry[] = []
  readonly sources = new Map<Digest, string>()
  filesRead = 0
  readonly #source: string
  readonly #cache: DigestCache | undefined
  readonly #nowNs: () => bigint

  constructor(source: string, cache: DigestCache | undefined, nowNs: () => bigint) {
    this.#source = source
    this.#cache = cache
    this.#nowNs = nowNs
  }

  async add(file: FoundFile): Promise<void> {
    const digest = this.#cache?.get(file.path, file.status) ?? (await this.#read(file))
    const isExecutable = (file.status.mode & 0o111n) !== 0n
    const facts = { digest, bytes: Number(file.status.size), isExecutable }
    this.entries.push({ kind: 'file', path: file.path, ...facts })
    this.sources.set(digest, path.join(this.#source, file.path))
  }

  async #read({ path: relative, status }: FoundFile): Promise<Digest> {
    const absolute = path.join(this.#source, relative)
    const readAtNs = this.#nowNs()
    const digest = await digestOfFile(absolute, Number(status.size)).catch((thrown: unknown) => {
      throw unreadable(relative, thrown)
    })
    const after = await statusOf(this.#source, relative)
    if (!isSame(status, after)) throw changed(relative)
    this.filesRead++
    this.#cache?.set(relative, status, digest, readAtNs)
    return digest
  }
}

function isSame(a: BigIntStats, b: BigIntStats): boolean {
  const keys = ['size', 'mtimeNs', 'ctimeNs', 'ino', 'dev', 'mode'] as const
  return keys.every((key) => a[key] === b[key])
}

async function readIgnoreFile(source: string): Promise<string> {
  try {
    return await readFile(path.join(source, IGNORE_FILE), 'utf8')
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR') return ''
    throw thrown
  }
}

/** @param where  the folder, or the symlink, for the message */
function textOf(raw: Buffer, where: string): string {
  const text = raw.toString('utf8')
  if (Buffer.from(text).equals(raw)) return text
  const message = `a name in "${where || '.'}" is not UTF-8: "${text}"`
  throw new QuiverError('invalid_argument', 'FILE_NAME_INVALID', message, { hint: 'Rename it.' })
}

async function statusOf(source: string, relative: string): Promise<BigIntStats> {
  try {
    return await lstat(path.join(source, relative), { bigint: true })
  } catch (thrown) {
    throw errno(thrown) === 'ENOENT' ? changed(relative) : thrown
  }
}

/** A file that cannot be read, said so that its owner knows what to do. */
function unreadable(relative: string, thrown: unknown): unknown {
  const code = errno(thrown)
  if (code === 'ENOENT' || code === 'ELOOP') return changed(relative)
  if (code !== 'EACCES' && code !== 'EPERM') return thrown
  const message = `"${relative}" may not be read by this user`
  return new QuiverError('permission_denied', 'FILE_UNREADABLE', message, {
    hint: 'Change its mode, or list it in .quiverignore.',
    cause: thrown,
  })
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n
}

function escapes(here: string, target: string): QuiverError {
  const message = `the symlink "${here}" → "${target}" leads out of the folder`
  return new QuiverError('invalid_argument', 'PATH_ESCAPES', message, {
    hint: 'Make it a relative symlink to a file inside, replace it by a copy, or list it in .quiverignore.',
  })
}

function unsupported(here: string, one: Dirent<Buffer>): QuiverError {
  const kinds = { socket: one.isSocket(), pipe: one.isFIFO(), device: true }
  const kind = Object.entries(kinds).find(([, is]) => is)?.[0]
  const message = `"${here}" is a ${kind}; images hold files, folders and symlinks`
  return new QuiverError('invalid_argument', 'FILE_UNSUPPORTED', message, {
    hint: 'Remove it, or list it in .quiverignore.',
  })
}

function changed(here: string): QuiverError {
  return new QuiverError(
    'failed_precondition',
    'FILE_CHANGED',
    `"${here}" changed while it was read`,
    {
      hint: 'Try again when nothing writes to it, or list it in .quiverignore.',
    },
  )
}
