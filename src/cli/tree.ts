/** The files of an image or binary, for people. */

import type { TreeEntry } from '../images/images.ts'

import { formatBytes, formatDigest } from './format.ts'
import { formatTable } from './table.ts'

export function formatTree(tree: readonly TreeEntry[]): string {
  const rows = tree.map((entry) => {
    if (entry.kind === 'folder') return ['folder', '', '', `${entry.path}/`]
    if (entry.kind === 'symlink') return ['symlink', '', '', `${entry.path} → ${entry.target}`]
    const kind = entry.isExecutable ? 'program' : 'file'
    return [kind, formatBytes(entry.bytes), formatDigest(entry.digest), entry.path]
  })
  return formatTable(['KIND', 'SIZE', 'DIGEST', 'PATH'], rows)
}
