/** `quiver top`: what it does. */

import { setTimeout } from 'node:timers/promises'

import type { TopView } from '../../../client/resources.ts'
import type { CliContext } from '../../context.ts'
import { formatBytes, formatCount, formatMeasuredBytes } from '../../format.ts'
import { printJson } from '../../print.ts'
import { formatTable } from '../../table.ts'

const REDRAW_MS = 1000
/** Home, then clear to the end: nothing flickers, as it would by clearing first. */
const [HOME, CLEAR_LINE, CLEAR_BELOW] = ['\u001b[H', '\u001b[K', '\u001b[J']
const [ENTER, LEAVE] = ['\u001b[?1049h\u001b[?25l', '\u001b[?25h\u001b[?1049l']

interface Flags {
  readonly once: boolean
  readonly json: boolean
}

export async function top(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const { stdout } = this.process
  const read = () => client.call('top', {}, this.signal)
  if (flags.json) {
    printJson(this, await read())
    return
  }
  if (flags.once || stdout.isTTY !== true) {
    stdout.write(formatTop(await read()))
    return
  }
  const first = await read()
  stdout.write(ENTER)
  try {
    await redraw(this, first, read)
  } finally {
    stdout.write(LEAVE)
  }
}

/** Until Ctrl-C. */
async function redraw(
  { process: { stdout }, signal }: CliContext,
  first: TopView,
  read: () => Promise<TopView>,
): Promise<void> {
  let view = first
  while (!signal.aborted) {
    const [title, ...table] = formatTop(view).split('\n')
    const lines = [`${title}; Ctrl-C ends`, ...table].slice(0, (stdout.rows ?? 24) - 1)
    stdout.write(`${HOME}${lines.map((line) => line + CLEAR_LINE).join('\n')}${CLEAR_BELOW}`)
    try {
      await setTimeout(REDRAW_MS, undefined, { signal })
      view = await read()
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

function formatTop({ cpu, memory, instances }: TopView): string {
  const used = memory.totalBytes - memory.availableBytes
  const title = [
    `cpu ${cpu.usedPercent.toFixed(0)}% of ${cpu.cores} cores`,
    `memory ${formatBytes(used)} of ${formatBytes(memory.totalBytes)}`,
    formatCount(instances.length, 'instance'),
  ]
  const rows = instances
    .toSorted((a, b) => b.cpuPercent - a.cpuPercent || b.memoryBytes - a.memoryBytes)
    .map((one) => [
      one.id,
      one.state,
      one.cpuPercent.toFixed(1),
      formatMeasuredBytes(one.memoryBytes),
      formatBytes(one.memoryBytesMax),
      one.pids === 0 ? '-' : String(one.pids),
      String(one.inFlight),
      String(one.requests),
    ])
  const head = ['INSTANCE', 'STATE', 'CPU %', 'MEMORY', 'MOST', 'PROCESSES', 'ACTIVE', 'REQUESTS']
  return `${title.join(', ')}\n\n${formatTable(head, rows)}`
}
