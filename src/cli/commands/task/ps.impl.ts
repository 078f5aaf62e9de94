/** `quiver ps`: what it does. */

import type { InstanceView, TaskView } from '../../../client/resources.ts'
import type { CliContext } from '../../context.ts'
import { formatAge, formatMeasuredBytes } from '../../format.ts'
import { printJson, printTable } from '../../print.ts'
import { paintFor } from '../../style.ts'
import type { Colour, Paint } from '../../style.ts'

interface Flags {
  readonly instances: boolean
  readonly all: boolean
  readonly json: boolean
}

export async function ps(this: CliContext, flags: Flags): Promise<void> {
  using client = await this.openClient()
  const paint = paintFor(this.process.stdout, this.process.env)
  if (flags.instances || flags.all) {
    const every = await client.call('listInstances', { query: {} }, this.signal)
    const instances = every.filter(({ exit }) => flags.all || exit === null)
    if (flags.json) printJson(this, instances)
    else printInstances(this, instances, paint)
    return
  }
  const tasks = await client.call('listTasks', {}, this.signal)
  if (flags.json) printJson(this, tasks)
  else printTasks(this, tasks, paint)
}

const COLOURS: Readonly<Record<string, Colour>> = {
  running: 'green',
  starting: 'cyan',
  paused: 'cyan',
  failing: 'red',
  failed: 'red',
  stopped: 'yellow',
  idle: 'dim',
}

function printTasks(context: CliContext, tasks: readonly TaskView[], paint: Paint): void {
  const nowMs = Date.now()
  const rows = tasks.map((task) => [
    task.name,
    paint(COLOURS[task.state] ?? 'bold', task.state),
    task.traffic.map(({ revision, percent }) => shareOf(revision, percent)).join(' '),
    String(task.instancesLive),
    formatMeasuredBytes(task.instancesLive === 0 ? 0 : task.memoryBytes),
    String(task.requests),
    formatAge(task.deployedAtMs, nowMs),
    task.state === 'failing' ? (task.lastError?.message ?? '') : (task.urls[0] ?? ''),
  ])
  const head = ['TASK', 'STATE', 'REVISION', 'INSTANCES', 'MEMORY', 'REQUESTS', 'AGE', 'URL']
  printTable(context, head, rows)
}

function shareOf(revision: number, percent: number): string {
  return percent === 100 ? String(revision) : `${revision}:${percent}%`
}

export function printInstances(
  context: CliContext,
  instances: readonly InstanceView[],
  paint: Paint,
): void {
  const nowMs = Date.now()
  const isAnyOnBridge = instances.some(({ address }) => address !== null)
  const rows = instances.map((instance) => [
    instance.id,
    instance.task,
    paint(COLOURS[instance.state] ?? 'bold', instance.state),
    instance.startKind ?? '-',
    formatMeasuredBytes(instance.usage?.memoryBytes ?? 0),
    String(instance.inFlight),
    String(instance.requests),
    formatAge(instance.createdAtMs, nowMs),
    // Where nobody is on the bridge, nobody misses the column.
    ...(isAnyOnBridge ? [instance.address?.ip ?? '-'] : []),
    endOf(instance),
  ])
  const address = isAnyOnBridge ? ['ADDRESS'] : []
  const start = ['INSTANCE', 'TASK', 'STATE', 'START', 'MEMORY', 'ACTIVE', 'REQUESTS', 'AGE']
  const head = [...start, ...address, 'END']
  printTable(context, head, rows)
}

function endOf({ exit, exitText, error }: InstanceView): string {
  if (error !== null) return `${error.message} (${error.reason})`
  return exit === null ? '' : `${exitText ?? ''} (${exit.reason})`
}
