/** `quiver describe`: what it does. */

import type { InstanceView, TaskDetail } from '../../../client/resources.ts'
import { formatAddress, formatAddresses } from '../../addresses.ts'
import type { CliContext } from '../../context.ts'
import { formatCores } from '../../cores.ts'
import { formatAge, formatBytes, formatDigest, formatTime } from '../../format.ts'
import { foreign, printJson } from '../../print.ts'
import { paintFor } from '../../style.ts'
import { formatPairs, formatTable } from '../../table.ts'
import { formatWaterfall } from '../../waterfall.ts'

export async function describe(
  this: CliContext,
  flags: { readonly json: boolean },
  name: string,
): Promise<void> {
  using client = await this.openClient()
  const task = await client.call('getTask', { params: { name } }, this.signal)
  if (flags.json) {
    printJson(this, task)
    return
  }
  const cores = await client.call('listCores', { query: { task: name } }, this.signal)
  const paint = paintFor(this.process.stdout, this.process.env)
  const sections: readonly Section[] = [
    { body: summaryOf(task) },
    { title: 'Revisions', body: revisionsOf(task) },
    ...task.instances.map((instance) => instanceOf(instance)),
    { title: 'Core dumps', body: formatCores(cores, Date.now()) },
    { title: 'Errors', body: errorsOf(task) },
  ]
  const texts = sections
    .filter(({ body }) => body !== '')
    .map(({ title, body }) => {
      const head = title === undefined ? '' : `${paint('bold', title)}\n`
      return head + foreign(this, body)
    })
  this.process.stdout.write(texts.join('\n'))
}

/** Bodies hold what others wrote; colours are in titles only. */
interface Section {
  readonly title?: string
  readonly body: string
}

function summaryOf(task: TaskDetail): string {
  const { counters } = task
  const pairs: [string, string][] = [
    ['Task', task.name],
    ['State', task.state],
    ['Image', `${formatDigest(task.image)} on ${task.runtime}`],
    ['Isolation', task.isolation],
    ...task.urls.map((url): [string, string] => ['URL', url]),
    ...task.routes.map((route): [string, string] => ['Route', route]),
    ...task.publish.map((one): [string, string] => [
      'Port',
      `${one.address}:${one.hostPort} → ${one.port}${one.error === null ? '' : ` (${one.error})`}`,
    ]),
    ...formatAddresses(task.addresses).map((text): [string, string] => ['Address', text]),
    ['Instances', scaleOf(task)],
    ['Deployed', formatTime(task.deployedAtMs)],
  ]
  if (counters !== null) {
    pairs.push(['Requests', `${counters.requests} (${joinCounts(counters.statuses)})`])
    pairs.push(['Starts', joinCounts(counters.starts)])
    pairs.push([
      'Traffic',
      `${formatBytes(counters.bytesIn)} in, ${formatBytes(counters.bytesOut)} out`,
    ])
  }
  if (task.backOffUntilMs !== null) pairs.push(['Waits until', formatTime(task.backOffUntilMs)])
  return formatPairs(pairs)
}

function scaleOf({ instancesLive, instancesReady, instancesWanted }: TaskDetail): string {
  const wanted = instancesWanted === null ? '' : `, fixed to ${instancesWanted}`
  return `${instancesLive} live, ${instancesReady} ready${wanted}`
}

function joinCounts(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts)
  return entries.length === 0 ? 'none' : entries.map(([key, count]) => `${key} ${count}`).join(', ')
}

function revisionsOf({ revisions }: TaskDetail): string {
  const nowMs = Date.now()
  const rows = revisions.map((revision) => [
    String(revision.number),
    `${revision.percent}%`,
    formatDigest(revision.image),
    revision.runtime,
    formatBytes(revision.spec.limits.memoryBytes),
    revision.spec.limits.cpuMillis === null ? '-' : String(revision.spec.limits.cpuMillis / 1000),
    String(revision.instancesLive),
    formatAge(revision.createdAtMs, nowMs),
  ])
  const head = ['REVISION', 'TRAFFIC', 'IMAGE', 'RUNTIME', 'MEMORY', 'CPU', 'INSTANCES', 'AGE']
  return formatTable(head, rows)
}

function instanceOf(instance: InstanceView): Section {
  const { usage, exit } = instance
  const pairs: [string, string][] = [
    ['State', instance.state],
    ['Revision', String(instance.revision)],
    ['Created', formatTime(instance.createdAtMs)],
    ['Started', instance.startKind ?? 'not yet'],
    ['Requests', `${instance.requests}, ${instance.inFlight} active`],
    ...(instance.address === null
      ? []
      : [['Address', formatAddress(instance.address)] as [string, string]]),
  ]
  // Nothing counts them without control groups.
  if (usage !== null && usage.pids + usage.memoryBytes > 0) {
    const memory = `${formatBytes(usage.memoryBytes)}, at most ${formatBytes(usage.memoryBytesMax)}`
    pairs.push(['Memory', memory], ['CPU time', `${(usage.cpuNs / 1e9).toFixed(2)} s`])
    pairs.push([
      'Processes',
      `${usage.pids}${usage.pidsRefused > 0 ? `, ${usage.pidsRefused} refused by limits.pids` : ''}`,
    ])
    if (usage.oomKills > 0) pairs.push(['Memory kills', String(usage.oomKills)])
  }
  if (exit !== null) {
    const how =
      exit.signal === null ? `status ${exit.status ?? 'unknown'}` : `signal ${exit.signal}`
    const core = exit.isCoreDumped ? ', core dumped' : ''
    pairs.push(['Ended', `${formatTime(exit.exitedAtMs)}, ${how}${core}`])
    pairs.push(['Why', `${instance.exitText ?? ''} (${exit.reason})`])
  }
  if (instance.error !== null)
    pairs.push(['Error', `${instance.error.message} (${instance.error.reason})`])
  const waterfall = formatWaterfall(instance.phases)
  return { title: `Instance ${instance.id}`, body: formatPairs(pairs) + waterfall }
}

function errorsOf({ errors }: TaskDetail): string {
  return errors
    .map((error) => {
      const lines = [
        `${formatTime(error.atMs)}  revision ${error.revision}  ${error.message} (${error.reason})`,
        ...(error.hint === undefined ? [] : [`  hint: ${error.hint}`]),
        ...error.logTail.map((line) => `  | ${line}`),
      ]
      return `${lines.join('\n')}\n`
    })
    .join('')
}
