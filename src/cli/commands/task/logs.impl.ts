/** `quiver logs`: what it does. */

import type { LogRecord } from '../../../client/resources.ts'
import { neutralise } from '../../../core/terminal.ts'
import type { CliContext } from '../../context.ts'
import { formatTime } from '../../format.ts'
import { printJsonLine } from '../../print.ts'
import { paintFor } from '../../style.ts'

interface Flags {
  readonly follow: boolean
  readonly since?: number
  readonly tail?: number
  readonly previous: boolean
  readonly grep?: string
  readonly requestId?: string
  readonly time: boolean
  readonly json: boolean
}

export async function logs(this: CliContext, flags: Flags, target: string): Promise<void> {
  using client = await this.openClient()
  const { since: sinceMs, tail, follow, previous, grep, requestId } = flags
  const query = { sinceMs, tail, follow, previous, grep, requestId }
  for await (const record of client.lines('logs', { params: { target }, query }, this.signal)) {
    if (flags.json) printJsonLine(this, record)
    else print(this, record, flags.time)
  }
}

/** What the task wrote to stderr goes to stderr, and our own remarks with it. */
function print({ process }: CliContext, record: LogRecord, hasTime: boolean): void {
  const output = record.stream === 'stdout' ? process.stdout : process.stderr
  const text = output.isTTY === true ? neutralise(record.text) : record.text
  const paint = paintFor(output, process.env)
  const remark = record.stream === 'quiver' ? 'quiver: ' : ''
  const prefix = hasTime ? paint('dim', `${formatTime(record.atMs)} ${record.instance} `) : ''
  output.write(`${prefix}${remark}${text}\n`)
}
