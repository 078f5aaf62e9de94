/** What `image` and `binary` have in common: both are configurations that list files, and are listed and shown alike. */

import type { BinaryDetail, BinaryView, ImageDetail, ImageView } from '../client/resources.ts'

import type { CliContext } from './context.ts'
import { forEach } from './each.ts'
import { formatAge, formatBytes, formatDigest, formatTime } from './format.ts'
import { foreign, printJson, printTable, say } from './print.ts'
import { formatPairs } from './table.ts'
import { formatTree } from './tree.ts'

interface Flags {
  readonly json: boolean
}

type Pair = readonly [name: string, value: string]

/** @param own  the one column that only this kind has: its title and its cells */
export function printStored<View extends ImageView | BinaryView>(
  context: CliContext,
  flags: Flags,
  title: string,
  views: readonly View[],
  own: readonly [title: string, cell: (view: View) => string],
): void {
  if (flags.json) {
    printJson(context, views)
    return
  }
  const nowMs = Date.now()
  const [ownTitle, ownCell] = own
  const rows = views.map((view) => [
    view.name,
    view.version ?? '-',
    formatDigest(view.digest),
    ownCell(view),
    formatBytes(view.bytes),
    String(view.fileCount),
    formatAge(view.createdAtMs, nowMs),
    view.usedBy.join(' '),
  ])
  const head = [title, 'VERSION', 'DIGEST', ownTitle, 'SIZE', 'FILES', 'AGE', 'USED BY']
  printTable(context, head, rows)
}

/** @param own  what only this kind has, after its name and after its size */
export function printStoredDetail(
  context: CliContext,
  flags: Flags,
  title: string,
  detail: ImageDetail | BinaryDetail,
  own: { readonly first?: readonly Pair[]; readonly middle: readonly Pair[] },
): void {
  if (flags.json) {
    printJson(context, detail)
    return
  }
  const version = detail.version === null ? '' : ` ${detail.version}`
  const pairs: readonly Pair[] = [
    [title, `${detail.name}${version}`],
    ...(own.first ?? []),
    ['Digest', detail.digest],
    ['Size', formatBytes(detail.bytes)],
    ...own.middle,
    ['Used by', detail.usedBy.join(' ') || 'nothing'],
    ['Created', formatTime(detail.createdAtMs)],
  ]
  const text = `${formatPairs(pairs)}\n${formatTree(detail.config.tree)}`
  context.process.stdout.write(foreign(context, text))
}

/** Removes each, and says so. */
export async function removeStored(
  context: CliContext,
  references: readonly string[],
  remove: (reference: string) => Promise<unknown>,
): Promise<void> {
  await forEach(context, references, async (reference) => {
    await remove(reference)
    say(context, `${reference} is removed`)
  })
}
