/** `quiver image`: what its verbs do. */

import type { CliContext } from '../../context.ts'
import { forEach } from '../../each.ts'
import { formatAge, formatBytes, formatDigest, formatTime } from '../../format.ts'
import { foreign, printJson, printTable, say } from '../../print.ts'
import { formatPairs } from '../../table.ts'
import { formatTree } from '../../tree.ts'

interface Flags {
  readonly json: boolean
}

export async function listImages(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const images = await client.call('listImages', {}, this.signal)
  if (flags.json) {
    printJson(this, images)
    return
  }
  const nowMs = Date.now()
  const rows = images.map((image) => [
    image.name,
    image.version ?? '-',
    formatDigest(image.digest),
    image.runtime,
    formatBytes(image.bytes),
    String(image.fileCount),
    formatAge(image.createdAtMs, nowMs),
    image.usedBy.join(' '),
  ])
  const head = ['IMAGE', 'VERSION', 'DIGEST', 'RUNTIME', 'SIZE', 'FILES', 'AGE', 'USED BY']
  printTable(this, head, rows)
}

export async function inspectImage(
  this: CliContext,
  flags: Flags,
  reference: string,
): Promise<void> {
  using client = await this.openClient()
  const image = await client.call('getImage', { params: { reference } }, this.signal)
  if (flags.json) {
    printJson(this, image)
    return
  }
  const { config } = image
  const pairs: [string, string][] = [
    ['Image', `${image.name}${image.version === null ? '' : ` ${image.version}`}`],
    ...(config.title === null ? [] : [['Title', config.title] satisfies [string, string]]),
    ...(config.author === null ? [] : [['Author', config.author] satisfies [string, string]]),
    ['Digest', image.digest],
    ['Size', formatBytes(image.bytes)],
    ['Runtime', image.runtime],
    ['Binary', image.binary],
    ['Command', config.spec.args.join(' ')],
    ['Configurations', Object.keys(config.configs).join(' ') || 'none'],
    ['Used by', image.usedBy.join(' ') || 'nothing'],
    ['Created', formatTime(image.createdAtMs)],
  ]
  this.process.stdout.write(foreign(this, `${formatPairs(pairs)}\n${formatTree(config.tree)}`))
}

export async function removeImage(
  this: CliContext,
  _flags: object,
  ...references: string[]
): Promise<void> {
  using client = await this.openClient()
  await forEach(this, references, async (reference) => {
    await client.call('removeImage', { params: { reference } }, this.signal)
    say(this, `${reference} is removed`)
  })
}

export async function collectGarbage(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const freed = await client.call('collectGarbage', {}, this.signal)
  if (flags.json) printJson(this, freed)
  else say(this, `removed ${freed.files} files, ${formatBytes(freed.bytes)}`)
}
