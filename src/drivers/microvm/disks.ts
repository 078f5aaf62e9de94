/**
 * Trees as disks: an EROFS file for each tree that a microVM has mounted. Made when first needed, the same bytes for the same
 * tree, shared by all machines and so by the page cache; gone when its tree is. Which trees there are is not known here.
 */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { watch } from 'node:fs'
import { chmod, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

import { assert } from '../../core/assert.ts'
import { errnoOf, QuiverError } from '../../core/error.ts'
import { diskError } from '../process.ts'

const run = promisify(execFile)

const TREE = /^[0-9a-f]{64}$/
const DISK = /^([0-9a-f]{64})\.erofs$/
const STDERR_BYTES_MAX = 64 * 1024
const PACKAGE = 'erofs-utils'

export class Disks {
  readonly #folder: string
  readonly #treesFolder: string
  readonly #underWay = new Map<string, Promise<void>>()

  private constructor(folder: string, treesFolder: string) {
    this.#folder = folder
    this.#treesFolder = treesFolder
  }

  /**
   * Deletes what a killed process left unfinished, and the disks of trees that are gone. From then on a disk goes when its tree
   * does, whoever removes it, for as long as this process lives.
   *
   * @param treesFolder  its folders are called after the digest of what is in them
   */
  static async open(folder: string, treesFolder: string): Promise<Disks> {
    await mkdir(folder, { recursive: true, mode: 0o711 })
    await chmod(folder, 0o711)
    const disks = new Disks(folder, treesFolder)
    // First, so that nothing goes unseen in between.
    disks.#watchTrees()
    await disks.collectGarbage()
    return disks
  }

  #watchTrees(): void {
    const watcher = watch(this.#treesFolder, { persistent: false }, (_, name) => {
      // What cannot be deleted now is when disks are opened the next time.
      if (name !== null && TREE.test(name))
        this.#removeUnlessWanted(`${name}.erofs`).catch(() => {})
    })
    // The folder went: no tree is left that anybody could remove.
    watcher.on('error', () => watcher.close())
  }

  /**
   * The disk of a tree, made unless it is there. Calls that overlap make it once; it is made to its end also when `signal` aborts.
   *
   * @param treePath  in the folder of trees
   * @throws QuiverError `not_found/HOST_FILE_MISSING` when mkfs.erofs is not installed, `resource_exhausted/DISK_FULL`,
   *   `internal/DISK_FAILED`; whatever `signal` aborts with
   */
  async file(treePath: string, signal: AbortSignal): Promise<string> {
    const hex = path.basename(treePath)
    assert(
      TREE.test(hex) && path.dirname(treePath) === this.#treesFolder,
      `${treePath} is not one of the node's trees`,
    )
    const file = path.join(this.#folder, `${hex}.erofs`)
    if (await exists(file)) return file
    await abortable(this.#make(hex, file), signal)
    return file
  }

  /** Machines that have a disk open keep it. */
  async collectGarbage(): Promise<void> {
    const names = await readdir(this.#folder)
    await Promise.all(names.map((name) => this.#removeUnlessWanted(name)))
  }

  async #removeUnlessWanted(name: string): Promise<void> {
    const [, hex] = DISK.exec(name) ?? []
    if (hex !== undefined && (await exists(path.join(this.#treesFolder, hex)))) return
    if (hex === undefined && this.#isUnderWay(name)) return
    await rm(path.join(this.#folder, name), { recursive: true, force: true })
  }

  #isUnderWay(name: string): boolean {
    return [...this.#underWay.keys()].some((hex) => name.startsWith(hex))
  }

  async #make(hex: string, file: string): Promise<void> {
    const making = this.#underWay.get(hex) ?? this.#build(hex, file)
    this.#underWay.set(hex, making)
    try {
      await making
    } finally {
      this.#underWay.delete(hex)
    }
  }

  async #build(hex: string, file: string): Promise<void> {
    const temporary = path.join(this.#folder, `${hex}.tmp-${randomBytes(6).toString('hex')}`)
    try {
      await runMkfs(hex, path.join(this.#treesFolder, hex), temporary)
      await chmod(temporary, 0o444)
      await sync(temporary)
      await rename(temporary, file)
      await sync(this.#folder)
    } catch (thrown) {
      await rm(temporary, { force: true })
      throw diskError(thrown, 'the disk of a microVM')
    }
  }
}

/** Times, owners and the identity of the file system are fixed, and nothing is compressed: a page of it is a page of a file. */
async function runMkfs(hex: string, tree: string, target: string): Promise<void> {
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
  const fixed = ['-T0', `-U${uuid}`, '--all-root', '-x-1', '--quiet']
  try {
    await run('mkfs.erofs', [...fixed, target, tree], { maxBuffer: STDERR_BYTES_MAX, env: PATHS })
  } catch (thrown) {
    throw explained(thrown)
  }
}

/** Where Debian has it, also for users that have no such folder in their path. */
const PATHS = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

function explained(thrown: unknown): unknown {
  if (errnoOf(thrown) === 'ENOENT') {
    const message = 'mkfs.erofs is not installed on this machine'
    return new QuiverError('not_found', 'HOST_FILE_MISSING', message, {
      hint: `Install it with "apt-get install --no-install-recommends ${PACKAGE}".`,
      cause: thrown,
    })
  }
  const said = thrown instanceof Error && 'stderr' in thrown ? String(thrown.stderr).trim() : ''
  if (/no space left/i.test(said)) return Object.assign(new Error(said), { code: 'ENOSPC' })
  const message = `mkfs.erofs failed: ${said === '' ? String(thrown) : said.slice(-500)}`
  return new QuiverError('internal', 'DISK_FAILED', message, {
    hint: `Reinstall it with "apt-get install --reinstall ${PACKAGE}".`,
    cause: thrown,
  })
}

async function abortable(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    await Promise.race([work, aborted.promise])
  } catch (thrown) {
    // Whoever comes next waits for it, or begins again.
    work.catch(() => {})
    throw thrown
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function sync(file: string): Promise<void> {
  const handle = await open(file)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
