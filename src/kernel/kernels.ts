/**
 * Kernels of microVMs that this machine has built: where they are, which one to use. Building one is build.ts.
 *
 * All nodes of a machine share them, whatever their data folders: nothing of a node is in a kernel. A kernel is a folder
 * named by what it was made from, which appears whole and never changes:
 *
 *     <folder>/<64 hex>/vmlinux, bzImage, config, System.map, kernel.json
 *
 * `vmlinux` is what hypervisors here load; `bzImage` is the same kernel, compressed, for those that load nothing else.
 */

import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

import * as z from 'zod'

import { isDigest, type Digest } from '../core/digest.ts'
import { errnoOf, QuiverError } from '../core/error.ts'

import { recipeDigest } from './recipe.ts'

type Variables = Readonly<Record<string, string | undefined>>

export interface Kernel {
  /** An ELF file with a PVH entry, uncompressed: what a hypervisor loads. */
  readonly path: string
  /** Of that file. The same inputs give the same bytes on every machine. */
  readonly digest: Digest
  /** As `uname -r` says it, such as `6.1.192-quiver`. */
  readonly release: string
  readonly bytes: number
  /** The program that compiled it. */
  readonly compiler: string
  /** Built from the recipe of this version of Quiver. Others work, and may lack what was added since. */
  readonly isCurrent: boolean
  readonly builtAtMs: number
}

/** What `kernel.json` says. */
export const KernelRecordSchema = z.strictObject({
  schema: z.literal(1),
  digest: z.string().refine(isDigest),
  release: z.string().min(1),
  bytes: z.int().positive(),
  compiler: z.string(),
  recipe: z.string(),
})
export type KernelRecord = z.output<typeof KernelRecordSchema>

const HEX = /^[0-9a-f]{64}$/
const SYSTEM_FOLDER = '/var/cache/quiver/kernels'

/** Where kernels are built: `QUIVER_KERNELS`, or the machine's cache for root and the user's for others. */
export function kernelsFolder(env: Variables, uid: number): string {
  const chosen = env['QUIVER_KERNELS'] ?? ''
  if (chosen !== '') return path.resolve(chosen)
  if (uid === 0) return SYSTEM_FOLDER
  const cache = env['XDG_CACHE_HOME'] ?? ''
  const home = env['HOME'] ?? ''
  const parent = path.isAbsolute(cache)
    ? cache
    : path.join(path.isAbsolute(home) ? home : homedir(), '.cache')
  return path.join(parent, 'quiver/kernels')
}

/**
 * The kernel to start machines with: the newest of the present recipe, else the newest there is. Users who are not root
 * also find those that root has built.
 *
 * @returns undefined when none was built: `quiver kernel build` does it
 */
export async function findKernel(env: Variables, uid: number): Promise<Kernel | undefined> {
  const own = kernelsFolder(env, uid)
  const isChosen = (env['QUIVER_KERNELS'] ?? '') !== ''
  const folders = isChosen || own === SYSTEM_FOLDER ? [own] : [own, SYSTEM_FOLDER]
  const found = (await Promise.all(folders.map(listKernels))).flat()
  return found.find(({ isCurrent }) => isCurrent) ?? found[0]
}

/** Newest first. What is unfinished or damaged is not among them. */
export async function listKernels(folder: string): Promise<readonly Kernel[]> {
  const [names, recipe] = await Promise.all([namesIn(folder), recipeDigest()])
  const keys = names.filter((name) => HEX.test(name))
  const found = await Promise.all(keys.map((key) => readKernel(path.join(folder, key), recipe)))
  return found
    .filter((kernel) => kernel !== undefined)
    .toSorted((a, b) => b.builtAtMs - a.builtAtMs)
}

/** @returns undefined when it is not there, or not what its record says */
export async function readKernel(folder: string, recipe: Digest): Promise<Kernel | undefined> {
  const file = path.join(folder, 'vmlinux')
  try {
    const [text, { size, mtimeMs }] = await Promise.all([
      readFile(path.join(folder, 'kernel.json'), 'utf8'),
      stat(file),
    ])
    const { digest, release, bytes, compiler, ...record } = KernelRecordSchema.parse(
      JSON.parse(text),
    )
    if (bytes !== size) return undefined
    const isCurrent = record.recipe === recipe
    return { path: file, digest, release, bytes, compiler, isCurrent, builtAtMs: mtimeMs }
  } catch (thrown) {
    const isUnreadable = thrown instanceof SyntaxError || thrown instanceof z.ZodError
    if (isUnreadable || ['ENOENT', 'ENOTDIR'].includes(errnoOf(thrown) ?? '')) return undefined
    throw thrown
  }
}

/**
 * Removes a kernel, named by its digest or the beginning of it. Machines that run keep what they have in memory.
 *
 * @throws QuiverError `not_found/KERNEL_NOT_FOUND`, `invalid_argument/KERNEL_AMBIGUOUS`
 */
export async function removeKernel(folder: string, reference: string): Promise<Kernel> {
  const wanted = reference.startsWith('sha256:') ? reference : `sha256:${reference}`
  const matches = (await listKernels(folder)).filter(({ digest }) => digest.startsWith(wanted))
  const [kernel, other] = matches
  if (kernel === undefined) {
    throw new QuiverError('not_found', 'KERNEL_NOT_FOUND', `there is no kernel "${reference}"`, {
      hint: 'See "quiver kernel ls" for those there are.',
    })
  }
  if (other !== undefined && other.digest !== kernel.digest) {
    const message = `"${reference}" is the beginning of more than one digest`
    throw new QuiverError('invalid_argument', 'KERNEL_AMBIGUOUS', message, {
      hint: 'Write more of it: "quiver kernel ls --json" has all of it.',
    })
  }
  // Whole or not at all: a name that is no kernel's first, for files go one by one.
  for (const { path: file } of matches) {
    const gone = path.join(folder, `.removed-${path.basename(path.dirname(file))}`)
    await rename(path.dirname(file), gone)
    await rm(gone, { recursive: true })
  }
  return kernel
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return []
    throw thrown
  }
}
