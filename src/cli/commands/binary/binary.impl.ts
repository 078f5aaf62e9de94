/** `quiver binary`: what `ls`, `inspect` and `rm` do. */

import type { ModuleView } from '../../../client/resources.ts'
import type { CliContext } from '../../context.ts'
import { formatBytes } from '../../format.ts'
import { printStored, printStoredDetail, removeStored } from '../../stored.ts'

interface Flags {
  readonly json: boolean
}

export async function listBinaries(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const binaries = await client.call('listBinaries', {}, this.signal)
  printStored(this, flags, 'BINARY', binaries, ['PLATFORM', ({ platform }) => platform])
}

export async function inspectBinary(
  this: CliContext,
  flags: Flags,
  reference: string,
): Promise<void> {
  using client = await this.openClient()
  const binary = await client.call('getBinary', { params: { reference } }, this.signal)
  printStoredDetail(this, flags, 'Binary', binary, {
    middle: [
      ['Platform', binary.platform],
      ['Entry', binary.config.entry],
      ...moduleRows(binary.module ?? null),
    ],
  })
}

const EXPORTS_SHOWN = 20

function moduleRows(module: ModuleView | null): readonly (readonly [string, string])[] {
  if (module === null) return []
  const { kind, entry, exports, exportCount, links, producers, memoryBytes } = module
  const shown = exports.slice(0, EXPORTS_SHOWN).map(({ name, signature }) => name + signature)
  const more = exportCount > shown.length ? [`and ${exportCount - shown.length} more`] : []
  const imported = links.map((link) => `${link.task}.${link.function}${link.signature}`)
  return [
    ['Kind', entry === null ? kind : `${kind}, entered at ${entry}`],
    ['Exports', [...shown, ...more].join(', ') || 'nothing to call'],
    ...(imported.length === 0 ? [] : [['Imports', imported.join(', ')] as const]),
    ['Memory', formatBytes(memoryBytes)],
    ...(producers.length === 0 ? [] : [['Made by', producers.join(', ')] as const]),
  ]
}

export async function removeBinary(
  this: CliContext,
  _flags: object,
  ...references: string[]
): Promise<void> {
  using client = await this.openClient()
  await removeStored(this, references, (reference) =>
    client.call('removeBinary', { params: { reference } }, this.signal),
  )
}
