/** The files of an image or binary, for people. */

import { neutraliseLine } from '../core/terminal.ts'
import type { TreeEntry } from '../images/images.ts'

import { formatBytes, formatDigest } from './format.ts'
import { formatTable } from './table.ts'

export function formatTree(tree: readonly TreeEntry[]): string {
  const rows = tree.map((entry) => {
    if (entry.kind === 'folder') return ['folder', '', '', `${neutraliseLine(entry.path)}/`]
    if (entry.kind === 'symlink')
      return ['symlink', '', '', neutraliseLine(`${entry.path} → ${entry.target}`)]
    const kind = entry.isExecutable ? 'program' : 'file'
    return [kind, formatBytes(entry.bytes), formatDigest(entry.digest), neutraliseLine(entry.path)]
  })
  return formatTable(['KIND', 'SIZE', 'DIGEST', 'PATH'], rows)
}
