/** `quiver events`: what it does. */

import type { CliContext } from '../../context.ts'
import { formatTime } from '../../format.ts'
import { foreign, printJsonLine } from '../../print.ts'
import { paintFor } from '../../style.ts'

interface Flags {
  readonly follow: boolean
  readonly since?: number
  readonly task?: string
  readonly json: boolean
}

export async function events(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const paint = paintFor(this.process.stdout, this.process.env)
  const { follow, since: sinceMs, task } = flags
  const query = { follow, sinceMs, task }
  for await (const event of client.lines('events', { query }, this.signal)) {
    if (flags.json) {
      printJsonLine(this, event)
      continue
    }
    const who = event.instance ?? event.task ?? 'node'
    const reason = event.reason === null ? '' : ` (${event.reason})`
    const text = foreign(this, `${who}  ${event.message}${reason}`)
    this.process.stdout.write(
      `${paint('dim', formatTime(event.atMs))}  ${event.type.padEnd(16)}  ${text}\n`,
    )
  }
}
