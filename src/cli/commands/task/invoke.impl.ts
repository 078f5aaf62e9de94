/** `quiver invoke`: what it does. */

import { parseName } from '../../../core/name.ts'
import type { CliContext } from '../../context.ts'
import { printJson } from '../../print.ts'

interface Flags {
  readonly export: string
  readonly json: boolean
}

export async function invoke(
  this: CliContext,
  flags: Flags,
  task: string,
  ...args: string[]
): Promise<void> {
  using client = await this.openClient()
  const params = { name: parseName(task) }
  const body = { export: flags.export, args }
  const result = await client.call('invoke', { params, body }, this.signal)
  if (flags.json) {
    printJson(this, result)
    return
  }
  const { value, output } = result
  if (output !== null) this.process.stdout.write(Buffer.from(output.body, 'base64'))
  if (value !== null) this.process.stdout.write(`${value}\n`)
}
