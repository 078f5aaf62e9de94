/** How one tree differs from another: what `deploy --dry-run` shows. */

import type { TreeEntry } from './images.ts'
import { comparePaths } from './tree.ts'

export interface Difference {
  readonly added: readonly DifferentPath[]
  readonly changed: readonly DifferentPath[]
  readonly removed: readonly DifferentPath[]
}

export interface DifferentPath {
  readonly path: string
  /** Of the file as it will be; as it was, when removed. 0 for symlinks and folders. */
  readonly bytes: number
}

/** A mode, a symlink's target or a kind that differs is a change too. */
export function differenceOf(
  before: readonly TreeEntry[],
  after: readonly TreeEntry[],
): Difference {
  const old = new Map(before.map((entry) => [entry.path, entry]))
  const kept = new Set(after.map((entry) => entry.path))
  const isChanged = (entry: TreeEntry): boolean => {
    const previous = old.get(entry.path)
    return previous !== undefined && identityOf(previous) !== identityOf(entry)
  }
  return {
    added: list(after.filter((entry) => !old.has(entry.path))),
    changed: list(after.filter(isChanged)),
    removed: list(before.filter((entry) => !kept.has(entry.path))),
  }
}

function identityOf(entry: TreeEntry): string {
  if (entry.kind === 'file') return `${entry.kind} ${entry.isExecutable} ${entry.digest}`
  return entry.kind === 'symlink' ? `${entry.kind} ${entry.target}` : entry.kind
}

function list(entries: readonly TreeEntry[]): readonly DifferentPath[] {
  return entries
    .map((entry) => ({ path: entry.path, bytes: entry.kind === 'file' ? entry.bytes : 0 }))
    .toSorted((a, b) => comparePaths(a.path, b.path))
}
