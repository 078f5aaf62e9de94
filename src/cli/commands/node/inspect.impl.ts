/** `quiver node inspect`, `quiver node health` and `quiver config print`: what they do. */

import { CODES } from '../../../core/error.ts'
import type { CliContext } from '../../context.ts'
import { formatAge, formatBytes } from '../../format.ts'
import { foreign, printJson, printTable } from '../../print.ts'
import { formatPairs } from '../../table.ts'

interface Flags {
  readonly json: boolean
}

export async function inspectNode(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const node = await client.call('node', {}, this.signal)
  if (flags.json) {
    printJson(this, node)
    return
  }
  const pairs: [string, string][] = [
    ['Node', `${node.hostname}, ${node.platform}`],
    ['Version', node.version],
    ['Process', `${node.pid}, up ${formatAge(node.startedAtMs, Date.now())}`],
    ['Privileges', node.isRoot ? 'root' : 'a user: see "quiver doctor" for what is lost'],
    ['Data', node.dataFolder],
    ['Sockets', node.runFolder],
    ...Object.entries(node.addresses).map(([name, at]): [string, string] => [name, at]),
    ['Tasks', `${node.tasks}, ${node.instancesLive} instances`],
  ]
  this.process.stdout.write(foreign(this, formatPairs(pairs)))
}

export async function health(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const found = await client.call('health', {}, this.signal)
  if (found.isCritical) this.process.exitCode = CODES.unavailable.exit
  if (flags.json) {
    printJson(this, found)
    return
  }
  const { cpu, memory, disk, processes, problems } = found
  const space = (one: typeof memory) =>
    `${formatBytes(one.availableBytes)} of ${formatBytes(one.totalBytes)} available`
  const pairs: [string, string][] = [
    ['Health', found.isCritical ? 'critical' : found.isOverloaded ? 'overloaded' : 'good'],
    ['CPU', `${cpu.usedPercent.toFixed(0)}% of ${cpu.cores} cores`],
    ['Memory', space(memory)],
    ['Disk', space(disk)],
    ['Proxy', processes.proxy ? 'connected' : 'away'],
    ['Egress', processes.egress ? 'connected' : 'away'],
    ...found.backends.map(({ isolation, isUsable }): [string, string] => [
      isolation,
      isUsable ? 'usable' : 'not usable',
    ]),
    ...problems.map((problem): [string, string] => ['Problem', problem]),
  ]
  this.process.stdout.write(foreign(this, formatPairs(pairs)))
}

export async function printConfig(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const { entries } = await client.call('configuration', {}, this.signal)
  if (flags.json) {
    printJson(this, entries)
    return
  }
  const rows = entries.map(({ key, value, source, origin }) => [key, value, origin ?? source])
  printTable(this, ['KEY', 'VALUE', 'FROM'], rows)
}
