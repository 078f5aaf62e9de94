/** `quiver binary import`: what it does. */

import path from 'node:path'

import { parseName } from '../../../core/name.ts'
import { elfBinary } from '../../../images/elf-binary.ts'
import type { CliContext } from '../../context.ts'
import { formatBytes } from '../../format.ts'
import { putBuiltBinary } from '../../image.ts'
import { printJson, say } from '../../print.ts'

interface Flags {
  readonly name?: string
  readonly json: boolean
}

export async function importBinary(this: CliContext, flags: Flags, what: string): Promise<void> {
  using client = await this.openClient()
  const isPath = what.includes('/') || what.startsWith('.')
  const store = async () => {
    const file = path.resolve(this.folder, what)
    const name = parseName(flags.name ?? path.parse(file).name.toLowerCase(), 'binary name')
    return putBuiltBinary(this, client, await elfBinary(file, name))
  }
  const binary = isPath
    ? await store()
    : await client.call('resolveBinary', { body: { reference: what, isFresh: true } }, this.signal)
  if (flags.json) {
    printJson(this, binary)
    return
  }
  const { name, version, bytes, fileCount } = binary
  say(this, `${name}@${version}: ${formatBytes(bytes)} in ${fileCount} files`)
  this.process.stdout.write(`${binary.digest}\n`)
}
