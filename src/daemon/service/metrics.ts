/** Metrics of the node in the text format of Prometheus, version 0.0.4. */

import type { ManagedInstance } from '../../scheduler/managed.ts'

import type { ServiceParts } from './parts.ts'

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

export async function buildMetrics({ scheduler, dataPlane }: ServiceParts): Promise<string> {
  const counters = [...dataPlane.allCounters]
  const instances = [...scheduler.controllers].flatMap((controller) => controller.instances)
  const live = instances.filter(({ isLive }) => isLive)
  const usages = await Promise.all(live.map(({ instance }) => instance.usage()))
  return [
    metric('quiver_tasks', 'gauge', 'Tasks deployed on this node.', [
      [{}, scheduler.registry.list().length],
    ]),
    metric('quiver_instances', 'gauge', 'Live instances by task and state.', countStates(live)),
    metric(
      'quiver_requests_total',
      'counter',
      'Requests answered, by task and status class.',
      counters.flatMap(([task, { statuses }]) =>
        Object.entries(statuses).map(([status, count]): Sample => [{ task, status }, count]),
      ),
    ),
    metric(
      'quiver_starts_total',
      'counter',
      'Requests by how their instance came to run: cold, resumed, warm.',
      counters.flatMap(([task, { starts }]) =>
        Object.entries(starts).map(([kind, count]): Sample => [{ task, kind }, count]),
      ),
    ),
    metric(
      'quiver_bytes_total',
      'counter',
      'Bytes of bodies, by task and direction.',
      counters.flatMap(([task, { bytesIn, bytesOut }]): readonly Sample[] => [
        [{ task, direction: 'in' }, bytesIn],
        [{ task, direction: 'out' }, bytesOut],
      ]),
    ),
    metric(
      'quiver_instance_memory_bytes',
      'gauge',
      'Memory of each live instance.',
      live.map(({ id, instance }, index): Sample => [
        { task: instance.plan.task, instance: id },
        usages[index]?.memoryBytes ?? 0,
      ]),
    ),
    metric(
      'quiver_instance_cpu_seconds_total',
      'counter',
      'CPU time of each live instance.',
      live.map(({ id, instance }, index): Sample => [
        { task: instance.plan.task, instance: id },
        (usages[index]?.cpuNs ?? 0) / 1e9,
      ]),
    ),
    metric('quiver_data_plane_connected', 'gauge', 'Whether proxy and egress are connected.', [
      [{ process: 'proxy' }, Number(dataPlane.isConnected)],
      [{ process: 'egress' }, Number(dataPlane.isEgressConnected)],
    ]),
  ].join('')
}

/** How many there are of each task in each state. */
function countStates(live: readonly ManagedInstance[]): readonly Sample[] {
  const groups = Map.groupBy(live, ({ instance }) => `${instance.plan.task}\n${instance.state}`)
  return [...groups].map(([key, { length }]) => {
    const [task = '', state = ''] = key.split('\n')
    return [{ task, state }, length]
  })
}

function metric(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(([labels, value]) => `${name}${formatLabels(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
