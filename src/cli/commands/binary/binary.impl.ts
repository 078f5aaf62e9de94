/** `quiver binary`: what `ls`, `inspect` and `rm` do. */

import type { CliContext } from '../../context.ts'
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
    ],
  })
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
