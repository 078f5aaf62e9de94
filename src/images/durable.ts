/**
 * Files that are there for good once a promise has resolved: written aside, fsynced, renamed, their folder fsynced.
 * Commits that arrive while another is under way wait and go together, so that thousands of small files share a
 * few fsyncs. What the files mean is not known here.
 */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

import { QuiverError } from '../core/error.ts'

import { each, Slots } from './each.ts'

const run = promisify(execFile)

/** From here on one syncfs(2) is cheaper than an fsync(2) for each file. */
const SYNCFS_FILES_MIN = 64
const WIDTH = 8

interface Commit {
  readonly from: string
  readonly to: string
  /** Leave the file that is there already, if `keep` says so. */
  readonly keep: (() => boolean) | undefined
  readonly resolve: () => void
  readonly reject: (thrown: unknown) => void
}

export class DurableFolder {
  /** Where files are written before they are committed; on the same file system as their targets. */
  readonly #incoming: string
  /** Each has a descriptor open. */
  readonly #writers = new Slots(WIDTH)
  #waiting: Commit[] = []
  #isCommitting = false
  /** Targets of commits that have not resolved yet. */
  readonly #underWay = new Map<string, Promise<void>>()
  /** Folders known to be fsynced since their last change by an earlier process. */
  readonly #synced = new Set<string>()

  private constructor(incoming: string) {
    this.#incoming = incoming
  }

  /** Deletes what an earlier process left there unfinished. One process at a time may use the folder. */
  static async open(incoming: string): Promise<DurableFolder> {
    await makeFolder(incoming, 0o700)
    const leftovers = await readdir(incoming)
    await each(leftovers, WIDTH, (name) => rm(path.join(incoming, name), { recursive: true }))
    return new DurableFolder(incoming)
  }

  /** A path for a file that does not exist yet. */
  temporary(): string {
    return path.join(this.#incoming, randomBytes(12).toString('hex'))
  }

  /**
   * Moves the file `from` to `to`. Both the bytes and the name are durable when this resolves.
   *
   * @param keep  asked when it is this file's turn: true leaves what is at `to` and drops `from`
   * @throws QuiverError `resource_exhausted/DISK_FULL`
   */
  async commit(from: string, to: string, keep?: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ from, to, keep, resolve, reject })
    this.#underWay.set(to, promise)
    if (!this.#isCommitting) void this.#commitAll()
    try {
      await promise
    } catch (thrown) {
      await rm(from, { force: true })
      throw diskError(thrown)
    } finally {
      if (this.#underWay.get(to) === promise) this.#underWay.delete(to)
    }
  }

  /** Writes a file of its own, to be committed; a few at a time, however many ask. */
  async write(bytes: string | Uint8Array, mode: number): Promise<string> {
    const temporary = this.temporary()
    await this.#writers.run(() => writeNew(temporary, bytes, mode))
    return temporary
  }

  /** Resolves when a file that was seen at `to` is durable there, even if a killed process put it there. */
  async settled(to: string): Promise<void> {
    await this.#underWay.get(to)
    const folder = path.dirname(to)
    if (this.#synced.has(folder)) return
    await syncFolder(folder)
    this.#synced.add(folder)
  }

  async #commitAll(): Promise<void> {
    this.#isCommitting = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      await this.#commitGroup(group)
    }
    this.#isCommitting = false
  }

  async #commitGroup(group: readonly Commit[]): Promise<void> {
    try {
      await syncAll(group.map((commit) => commit.from))
      const failed = new Map<Commit, unknown>()
      const byTarget = Map.groupBy(group, (commit) => commit.to).values()
      await each(byTarget, WIDTH, async (commits) => {
        // One after the other: the second one finds what the first one stored.
        for (const commit of commits) await moveOne(commit).catch((e) => failed.set(commit, e))
      })
      const folders = new Set(group.map((commit) => path.dirname(commit.to)))
      await syncAll([...folders])
      for (const folder of folders) this.#synced.add(folder)
      for (const commit of group) {
        if (failed.has(commit)) commit.reject(failed.get(commit))
        else commit.resolve()
      }
    } catch (thrown) {
      // A name may be there without being durable: whoever finds it must sync its folder.
      for (const commit of group) this.#synced.delete(path.dirname(commit.to))
      for (const commit of group) commit.reject(thrown)
    }
  }
}

/** Creates a folder, and those above it, with exactly this mode whatever the umask is. */
export async function makeFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode })
  await chmod(folder, mode)
}

/** Writes a file that must not exist yet, with exactly this mode; durable only after a sync. */
export async function writeNew(
  to: string,
  bytes: string | Uint8Array,
  mode: number,
): Promise<void> {
  try {
    const file = await open(to, 'wx', mode)
    try {
      await file.writeFile(bytes)
      await file.chmod(mode)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    await rm(to, { force: true })
    throw diskError(thrown)
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  await syncOne(folder)
}

/** Names a full disk; everything else stays as it is. */
export function diskError(thrown: unknown): unknown {
  const code = errno(thrown)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return thrown
  return new QuiverError('resource_exhausted', 'DISK_FULL', 'no space is left for the file', {
    hint: 'Free disk space below the data folder: "quiver image rm", then "quiver image gc".',
    cause: thrown,
  })
}

/** The name of a system call's error, such as `ENOENT`. */
export function errno(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}

async function moveOne({ from, to, keep }: Commit): Promise<void> {
  if (keep?.()) await rm(from)
  else await rename(from, to)
}

/** All files and folders are on one file system. */
async function syncAll(paths: readonly string[]): Promise<void> {
  if (paths.length >= SYNCFS_FILES_MIN && (await syncFileSystem(paths[0] ?? ''))) return
  await each(paths, WIDTH, syncOne)
}

/** syncfs(2), which Node.js does not offer, by way of coreutils. */
async function syncFileSystem(file: string): Promise<boolean> {
  try {
    await run('sync', ['--file-system', file])
    return true
  } catch {
    return false
  }
}

async function syncOne(file: string): Promise<void> {
  const handle = await open(file)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
