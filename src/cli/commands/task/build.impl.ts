/** `quiver build`: what it does. */

import type { CliContext } from '../../context.ts'
import { formatBytes, formatMilliseconds } from '../../format.ts'
import { sendImage } from '../../image.ts'
import { foreign, printJson, say } from '../../print.ts'

interface Flags {
  readonly verbose: boolean
  readonly json: boolean
}

export async function build(this: CliContext, flags: Flags, target = '.'): Promise<void> {
  using client = await this.openClient()
  const { image, leftOut, filesSent, bytesSent, timings } = await sendImage(this, client, target)
  if (flags.verbose) {
    for (const { path, reason } of leftOut)
      say(this, foreign(this, `left out: ${path} (${reason})`))
  }
  if (flags.json) {
    printJson(this, { ...image, filesSent, bytesSent, timings, leftOut })
    return
  }
  const spent = timings.map(({ name, ms }) => `${name} ${formatMilliseconds(ms)}`).join(', ')
  const size = `${formatBytes(image.bytes)} in ${image.fileCount} files`
  say(this, `${image.name}: ${size}, ${filesSent} sent (${formatBytes(bytesSent)}); ${spent}`)
  this.process.stdout.write(`${image.digest}\n`)
}
