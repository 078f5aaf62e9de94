/** How one tree differs from another: what `deploy --dry-run` shows. */

import type { TreeEntry } from './images.ts'
import { comparePaths } from './tree.ts'

export interface PathDifference {
  readonly path: string
  readonly change: 'added' | 'changed' | 'removed'
  /** Of the file as it will be, or as it was when it is removed; 0 for symlinks and folders. */
  readonly bytes: number
}

/** Sorted by path. A mode, a symlink's target or a kind that differs is a change too. */
export function compareTrees(
  before: readonly TreeEntry[],
  after: readonly TreeEntry[],
): readonly PathDifference[] {
  const old = new Map(before.map((entry) => [entry.path, entry]))
  const kept = new Set(after.map((entry) => entry.path))
  const differences = before
    .filter((entry) => !kept.has(entry.path))
    .map((entry) => differenceOf(entry, 'removed'))
  for (const entry of after) {
    const previous = old.get(entry.path)
    if (!previous) differences.push(differenceOf(entry, 'added'))
    else if (identityOf(previous) !== identityOf(entry)) {
      differences.push(differenceOf(entry, 'changed'))
    }
  }
  return differences.toSorted((a, b) => comparePaths(a.path, b.path))
}

function differenceOf(entry: TreeEntry, change: PathDifference['change']): PathDifference {
  return { path: entry.path, change, bytes: entry.kind === 'file' ? entry.bytes : 0 }
}

function identityOf(entry: TreeEntry): string {
  if (entry.kind === 'file') return `${entry.kind} ${entry.isExecutable} ${entry.digest}`
  return entry.kind === 'symlink' ? `${entry.kind} ${entry.target}` : entry.kind
}
