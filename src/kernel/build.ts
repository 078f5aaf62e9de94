/**
 * Builds the kernel of microVMs on this machine: Debian's source, our fragment and patches, this machine's compiler.
 *
 * It appears whole or not at all, whenever this process is killed: it is made in a folder of its own and renamed. One build
 * at a time in a folder; who comes second waits, and finds what the first one made. The same inputs give the same bytes.
 */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { canonicalJson, digestOf, hexOf, type Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import type { Lock } from '../fds/lock.ts'

import { readKernel, type Kernel, type KernelRecord } from './kernels.ts'
import { makeKernel, type Made } from './make.ts'
import { recipeDigest } from './recipe.ts'
import { findMissing, SOURCE } from './requirements.ts'
import { BuildLog, run } from './run.ts'

export interface BuildOptions {
  /** Where kernels are kept: see `kernelsFolder`. */
  readonly folder: string
  /** An archive of Linux's source; null: that of Debian's package. */
  readonly source: string | null
  readonly onProgress: (progress: Progress) => void
}

export interface Progress {
  readonly stage: 'wait' | 'unpack' | 'configure' | 'compile' | 'store'
  /** Files that are compiled; 0 in other stages. How many there will be is not known. */
  readonly files: number
  /** What the programs say. */
  readonly log: string
}

export interface Built {
  readonly kernel: Kernel
  /** False: it was there. */
  readonly isNew: boolean
}

/** Its own output and what it is compiled from, until it is finished. */
const BYTES_NEEDED = 2 * 1024 ** 3
const WAIT_MS = 500
const WORK = '.build-'
const REMOVED = '.removed-'

/**
 * @throws QuiverError `failed_precondition/KERNEL_TOOLS_MISSING`, `failed_precondition/KERNEL_BUILD_FAILED`,
 *   `failed_precondition/KERNEL_OPTION_REFUSED`, `resource_exhausted/DISK_FULL`
 */
export async function buildKernel(options: BuildOptions, signal: AbortSignal): Promise<Built> {
  const { folder, source, onProgress } = options
  await assertTools(source)
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  const log = path.join(folder, 'build.log')
  const onWait = () => onProgress({ stage: 'wait', files: 0, log })
  await using held = new AsyncDisposableStack()
  held.use(await takeLock(folder, onWait, signal))
  await removeLeftovers(folder)
  const archive = source ?? SOURCE.paths[0] ?? ''
  const [recipe, compiler, inputs] = await Promise.all([
    recipeDigest(),
    firstLine('gcc', signal),
    Promise.all([digestOfFile(archive), firstLine('ld', signal)]),
  ])
  const key = hexOf(digestOf(canonicalJson({ recipe, compiler, inputs })))
  const target = path.join(folder, key)
  const known = await readKernel(target, recipe)
  if (known !== undefined) return { kernel: known, isNew: false }

  await assertSpace(folder)
  const work = await mkdtemp(path.join(folder, WORK))
  try {
    await using file = await BuildLog.open(log)
    const made = await makeKernel({
      archive,
      work,
      log: file,
      signal,
      onStage: (stage, files) => onProgress({ stage, files, log }),
    })
    onProgress({ stage: 'store', files: 0, log })
    await store(made, { work, target, recipe, compiler }, signal)
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 3 })
  }
  const kernel = await readKernel(target, recipe)
  if (kernel === undefined) throw new Error(`${target} was stored and is not there`)
  return { kernel, isNew: true }
}

async function assertTools(source: string | null): Promise<void> {
  const missing = await findMissing(source)
  if (missing.length === 0) return
  const names = missing.map(({ name }) => name).join(', ')
  const packages = [...new Set(missing.map((one) => one.package))].toSorted().join(' ')
  const message = `a kernel cannot be built without ${names}`
  throw new QuiverError('failed_precondition', 'KERNEL_TOOLS_MISSING', message, {
    hint: `Run "quiver doctor --fix --microvm", or as root: apt-get install --no-install-recommends ${packages}`,
  })
}

async function takeLock(folder: string, onWait: () => void, signal: AbortSignal): Promise<Lock> {
  // The native functions that it needs may have been built a moment ago, by `quiver doctor --fix`.
  const { openLock } = await import('../fds/lock.ts')
  const file = path.join(folder, 'lock')
  for (let isFirst = true; ; isFirst = false) {
    const lock = await openLock(file)
    if (lock !== undefined) return lock
    if (isFirst) onWait()
    await delay(WAIT_MS, undefined, { signal })
  }
}

/** Of builds and removals that were killed. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder)
  const left = names.filter((name) => name.startsWith(WORK) || name.startsWith(REMOVED))
  for (const name of left) {
    await rm(path.join(folder, name), { recursive: true, force: true, maxRetries: 3 })
  }
}

async function assertSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= BYTES_NEEDED) return
  const message = `building a kernel takes 2 GiB for some minutes, and ${folder} has less`
  throw new QuiverError('resource_exhausted', 'DISK_FULL', message, {
    hint: 'Free some of it, or choose another folder with --kernels or QUIVER_KERNELS.',
  })
}

interface Place {
  readonly work: string
  readonly target: string
  readonly recipe: Digest
  readonly compiler: string
}

/** Everything is on the disk before the name is. */
async function store(made: Made, place: Place, signal: AbortSignal): Promise<void> {
  const { work, target, recipe, compiler } = place
  const folder = path.join(work, 'kernel')
  await mkdir(folder, { mode: 0o755 })
  const vmlinux = path.join(folder, 'vmlinux')
  // Half of it is room between its parts, which need not be on the disk.
  await run('cp', ['--sparse=always', made.vmlinux, vmlinux], { folder, signal })
  await copyFile(made.image, path.join(folder, 'bzImage'))
  await copyFile(made.config, path.join(folder, 'config'))
  await copyFile(made.symbols, path.join(folder, 'System.map'))
  const [digest, { size }] = await Promise.all([digestOfFile(vmlinux), stat(vmlinux)])
  const { release } = made
  const record: KernelRecord = { schema: 1, digest, release, bytes: size, compiler, recipe }
  await writeFile(path.join(folder, 'kernel.json'), `${JSON.stringify(record, null, 2)}\n`)
  const names = await readdir(folder)
  await Promise.all(names.map((name) => chmod(path.join(folder, name), 0o444)))
  await chmod(folder, 0o755)
  await sync(folder, signal)
  // What is there is damaged, or readKernel would have found it.
  await rm(target, { recursive: true, force: true })
  await rename(folder, target)
  await sync(path.dirname(target), signal)
}

/** syncfs(2), which Node.js does not offer, by way of coreutils. */
async function sync(folder: string, signal: AbortSignal): Promise<void> {
  await run('sync', ['--file-system', folder], { folder, signal })
}

async function firstLine(program: string, signal: AbortSignal): Promise<string> {
  const text = await run(program, ['--version'], { folder: '/', signal })
  return text.split('\n', 1)[0] ?? ''
}

async function digestOfFile(file: string): Promise<Digest> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash)
  return `sha256:${hash.digest('hex')}`
}
