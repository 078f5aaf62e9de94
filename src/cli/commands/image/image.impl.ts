/** `quiver image`: what its verbs do. */

import type { CliContext } from '../../context.ts'
import { formatBytes, formatCount, formatDigest } from '../../format.ts'
import { printJson, say } from '../../print.ts'
import { printStored, printStoredDetail, removeStored } from '../../stored.ts'

interface Flags {
  readonly json: boolean
}

export async function listImages(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const images = await client.call('listImages', {}, this.signal)
  printStored(this, flags, 'IMAGE', images, ['RUNTIME', ({ runtime }) => runtime])
}

export async function inspectImage(
  this: CliContext,
  flags: Flags,
  reference: string,
): Promise<void> {
  using client = await this.openClient()
  const image = await client.call('getImage', { params: { reference } }, this.signal)
  const { title, author, spec, configs } = image.config
  printStoredDetail(this, flags, 'Image', image, {
    first: [
      ...(title === null ? [] : [['Title', title] as const]),
      ...(author === null ? [] : [['Author', author] as const]),
    ],
    middle: [
      ['Runtime', image.runtime],
      ['Binary', image.binary],
      ['Command', spec.args.join(' ')],
      ['Configurations', Object.keys(configs).join(' ') || 'none'],
    ],
  })
}

export async function removeImage(
  this: CliContext,
  _flags: object,
  ...references: string[]
): Promise<void> {
  using client = await this.openClient()
  await removeStored(this, references, (reference) =>
    client.call('removeImage', { params: { reference } }, this.signal),
  )
  const left = await client.call('listImages', {}, this.signal)
  for (const { name, digest } of left.filter((image) => references.includes(image.name)))
    say(this, `an earlier image of ${name} is still there: ${formatDigest(digest)}`)
}

export async function collectGarbage(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const freed = await client.call('collectGarbage', {}, this.signal)
  if (flags.json) printJson(this, freed)
  else {
    const what = `removed ${formatCount(freed.files, 'file')}, ${formatBytes(freed.bytes)}`
    say(this, `${what}; what came in the last 15 minutes is kept`)
  }
}
