/**
 * What a tree may hold, and what a root file system needs besides: pure rules over lists of entries.
 * Nothing here touches a disk; `trees.ts` makes the folders.
 */

import { isDigest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import type { TreeEntry } from './images.ts'

export const TREE_ENTRIES_MAX = 100_000
export const TREE_BYTES_MAX = 4 * 1024 ** 3

/** Linux: PATH_MAX without its NUL, and NAME_MAX. */
const PATH_BYTES_MAX = 4095
const NAME_BYTES_MAX = 255

/** A skeleton entry: `file` is an empty file, made to be mounted on. */
export type SkeletonEntry =
  | { readonly kind: 'folder' | 'file'; readonly path: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }

/**
 * What instances mount on, and what Linux programs expect, in the root of every binary. A binary's own
 * entries win over these, but may not turn a folder into something else.
 */
export const SKELETON: readonly SkeletonEntry[] = [
  { kind: 'file', path: '.ainit' },
  { kind: 'folder', path: '.image' },
  { kind: 'folder', path: 'app' },
  { kind: 'folder', path: 'dev' },
  ...['group', 'hostname', 'hosts', 'passwd', 'resolv.conf'].map(
    (name) => ({ kind: 'file', path: `etc/${name}` }) as const,
  ),
  { kind: 'folder', path: 'home' },
  { kind: 'folder', path: 'proc' },
  { kind: 'folder', path: 'root' },
  { kind: 'folder', path: 'run' },
  { kind: 'folder', path: 'sys' },
  { kind: 'folder', path: 'tmp' },
  { kind: 'folder', path: 'usr/bin' },
  { kind: 'symlink', path: 'var/run', target: '../run' },
  { kind: 'folder', path: 'var/tmp' },
]

/**
 * Checks that entries are sorted, unique, inside the tree, and that no entry lies below a file or symlink.
 *
 * @param what  the noun for messages, such as `binary node`
 * @throws QuiverError `invalid_argument/PATH_ESCAPES`, `invalid_argument/TREE_INVALID`,
 *   `resource_exhausted/TREE_TOO_LARGE`
 */
export function checkTree(entries: readonly TreeEntry[], what: string): void {
  checkTreeSize(entries, what)
  const kinds = new Map<string, TreeEntry['kind']>()
  let previous: string | undefined
  for (const entry of entries) {
    checkPath(entry.path, what)
    if (previous !== undefined && comparePaths(previous, entry.path) >= 0) {
      throw invalid(what, `"${entry.path}" is listed twice or out of order`)
    }
    previous = entry.path
    kinds.set(entry.path, entry.kind)
    checkEntry(entry, what)
  }
  for (const entry of entries) {
    for (const folder of foldersAbove(entry.path)) {
      const kind = kinds.get(folder)
      if (kind === undefined) continue
      throw invalid(what, `"${entry.path}" lies below "${folder}", which is listed as a ${kind}`)
    }
  }
}

/**
 * The part of the skeleton that a binary does not bring itself.
 *
 * @throws QuiverError `invalid_argument/TREE_INVALID` when the binary blocks a place that instances mount on
 */
export function missingSkeleton(
  entries: readonly TreeEntry[],
  what: string,
): readonly SkeletonEntry[] {
  const kinds = new Map<string, TreeEntry['kind']>()
  for (const entry of entries) {
    kinds.set(entry.path, entry.kind)
    for (const folder of foldersAbove(entry.path)) kinds.set(folder, 'folder')
  }
  return SKELETON.filter((wanted) => {
    const blocking = foldersAbove(wanted.path).find((f) => (kinds.get(f) ?? 'folder') !== 'folder')
    const kind = kinds.get(wanted.path)
    const isBlocked = kind !== undefined && kind !== wanted.kind && wanted.kind !== 'symlink'
    if (blocking === undefined && !isBlocked) return kind === undefined
    const place = blocking ?? wanted.path
    throw invalid(
      what,
      `"${place}" is a ${kinds.get(place)}; instances need "${wanted.path}" there`,
    )
  })
}

/** Every folder the entries need, parents before children. */
export function foldersOf(entries: Iterable<TreeEntry | SkeletonEntry>): readonly string[] {
  const folders = new Set<string>()
  for (const entry of entries) {
    for (const folder of foldersAbove(entry.path)) folders.add(folder)
    if (entry.kind === 'folder') folders.add(entry.path)
  }
  return [...folders].toSorted(comparePaths)
}

/** `a/b/c` → `a`, `a/b`. */
export function foldersAbove(path: string): readonly string[] {
  const folders: string[] = []
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    folders.push(path.slice(0, slash))
  }
  return folders
}

/** Order of UTF-8 bytes. It is JavaScript's own order except for surrogates, which sort last. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const [x, y] = [a.charCodeAt(index), b.charCodeAt(index)]
    if (x === y) continue
    const isSurrogate = isSurrogateUnit(x)
    if (isSurrogate === isSurrogateUnit(y)) return x - y
    return isSurrogate ? 1 : -1
  }
  return a.length - b.length
}

/** Sum over the distinct files of a tree. */
export function bytesOf(entries: readonly TreeEntry[]): number {
  const seen = new Set<string>()
  let bytes = 0
  for (const entry of entries) {
    if (entry.kind !== 'file' || seen.has(entry.digest)) continue
    seen.add(entry.digest)
    bytes += entry.bytes
  }
  return bytes
}

/**
 * Whether a symlink at `path` stays in its tree. Its target is relative, and `..` comes only first: then each
 * step down may pass other symlinks, all of which stay inside too.
 */
export function symlinkStaysInside(path: string, target: string): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false
  const parts = target.split('/').filter((part) => part !== '' && part !== '.')
  const ups = parts.findIndex((part) => part !== '..')
  const count = ups === -1 ? parts.length : ups
  if (parts.slice(count).includes('..')) return false
  return count <= foldersAbove(path).length
}

function checkTreeSize(entries: readonly TreeEntry[], what: string): void {
  if (entries.length > TREE_ENTRIES_MAX) {
    throw tooLarge(`${what} has ${entries.length} files; the most is ${TREE_ENTRIES_MAX}`)
  }
  const bytes = bytesOf(entries)
  if (bytes > TREE_BYTES_MAX) {
    throw tooLarge(`${what} has ${bytes} bytes; the most is ${TREE_BYTES_MAX}`)
  }
}

export function tooLarge(message: string): QuiverError {
  return new QuiverError('resource_exhausted', 'TREE_TOO_LARGE', message, {
    hint: 'List what the application does not need in .quiverignore.',
  })
}

function checkEntry(entry: TreeEntry, what: string): void {
  if (entry.kind === 'symlink' && !symlinkStaysInside(entry.path, entry.target)) {
    throw escapes(what, `the symlink "${entry.path}" → "${entry.target}" leads out of the tree`)
  }
  if (entry.kind !== 'file') return
  if (!isDigest(entry.digest)) throw invalid(what, `"${entry.path}" has no valid digest`)
  if (!Number.isSafeInteger(entry.bytes) || entry.bytes < 0) {
    throw invalid(what, `"${entry.path}" has no valid size`)
  }
}

function checkPath(path: string, what: string): void {
  const parts = path.split('/')
  if (path.startsWith('/') || parts.includes('..')) {
    throw escapes(what, `the path "${path}" leads out of the tree`)
  }
  if (path.includes('\0') || !path.isWellFormed() || parts.some((p) => p === '' || p === '.')) {
    throw invalid(what, `"${path}" is not a plain relative path`)
  }
  const isLong = parts.some((part) => Buffer.byteLength(part) > NAME_BYTES_MAX)
  if (isLong || Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw invalid(what, `"${path}" is longer than a path can be`)
  }
}

function escapes(what: string, message: string): QuiverError {
  return new QuiverError('invalid_argument', 'PATH_ESCAPES', `${what}: ${message}`, {
    hint: 'Every file and every symlink of a tree must stay inside it.',
  })
}

function invalid(what: string, message: string): QuiverError {
  return new QuiverError('invalid_argument', 'TREE_INVALID', `${what}: ${message}`, {
    hint: 'Build it again with this version of Quiver.',
  })
}

function isSurrogateUnit(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
