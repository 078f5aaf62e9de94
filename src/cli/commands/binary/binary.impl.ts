/** `quiver binary`: what `ls`, `inspect` and `rm` do. */

import type { CliContext } from '../../context.ts'
import { forEach } from '../../each.ts'
import { formatAge, formatBytes, formatDigest, formatTime } from '../../format.ts'
import { foreign, printJson, printTable, say } from '../../print.ts'
import { formatPairs } from '../../table.ts'
import { formatTree } from '../../tree.ts'

interface Flags {
  readonly json: boolean
}

export async function listBinaries(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const binaries = await client.call('listBinaries', {}, this.signal)
  if (flags.json) {
    printJson(this, binaries)
    return
  }
  const nowMs = Date.now()
  const rows = binaries.map((binary) => [
    binary.name,
    binary.version,
    formatDigest(binary.digest),
    binary.platform,
    formatBytes(binary.bytes),
    String(binary.fileCount),
    formatAge(binary.createdAtMs, nowMs),
    binary.usedBy.join(' '),
  ])
  const head = ['BINARY', 'VERSION', 'DIGEST', 'PLATFORM', 'SIZE', 'FILES', 'AGE', 'USED BY']
  printTable(this, head, rows)
}

export async function inspectBinary(
  this: CliContext,
  flags: Flags,
  reference: string,
): Promise<void> {
  using client = await this.openClient()
  const binary = await client.call('getBinary', { params: { reference } }, this.signal)
  if (flags.json) {
    printJson(this, binary)
    return
  }
  const pairs: [string, string][] = [
    ['Binary', `${binary.name} ${binary.version}`],
    ['Digest', binary.digest],
    ['Platform', binary.platform],
    ['Entry', binary.config.entry],
    ['Size', formatBytes(binary.bytes)],
    ['Used by', binary.usedBy.join(' ') || 'nothing'],
    ['Created', formatTime(binary.createdAtMs)],
  ]
  const files = formatTree(binary.config.tree)
  this.process.stdout.write(foreign(this, `${formatPairs(pairs)}\n${files}`))
}

export async function removeBinary(
  this: CliContext,
  _flags: object,
  ...references: string[]
): Promise<void> {
  using client = await this.openClient()
  await forEach(this, references, async (reference) => {
    await client.call('removeBinary', { params: { reference } }, this.signal)
    say(this, `${reference} is removed`)
  })
}
