/** From what the scheduler knows to what the API shows. Pure. */

import type {
  AddressView,
  InstanceView,
  PhaseView,
  PublishView,
  RevisionView,
  TaskErrorView,
  TaskState,
} from '../../api/resources.ts'
import type { Usage } from '../../core/instance.ts'
import { formatRoute, parseRoute } from '../../core/route.ts'
import { hostnameOf, type Revision, type Task, type TaskSpec } from '../../core/task.ts'
import type { BridgeInterface } from '../../drivers/driver.ts'
import type { TaskController } from '../../scheduler/controller.ts'
import { describeExit } from '../../scheduler/endings.ts'
import type { Failure } from '../../scheduler/failures.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'

const NS_PER_MS = 1e6

export function taskState(task: Task, controller: TaskController | undefined): TaskState {
  const live = controller?.instances.filter(({ isCounted }) => isCounted) ?? []
  const has = (state: string) => live.some(({ instance }) => instance.state === state)
  if (has('running')) return 'running'
  if (has('paused')) return 'paused'
  if (live.length > 0) return 'starting'
  if (task.kind === 'run') return 'exited'
  if (task.desired === 'stopped') return 'stopped'
  return controller?.isFailing === true ? 'failing' : 'idle'
}

export function viewInstance(managed: ManagedInstance, usage: Usage | null): InstanceView {
  const { instance, exit, error } = managed
  const { id, task, revision, spec, isRun, bridge } = instance.plan
  return {
    id,
    task,
    revision,
    state: instance.state,
    isRun,
    startKind: managed.lastWake === 'cold' ? managed.startKind : managed.lastWake,
    createdAtMs: managed.createdAtMs,
    address: bridge === undefined ? null : viewAddress(spec, bridge),
    phases: viewPhases(managed),
    usage,
    inFlight: managed.inFlight,
    requests: managed.requests,
    exit,
    exitText: exit === null ? null : describeExit(exit, spec),
    error,
  }
}

export function viewAddress(
  spec: TaskSpec,
  { address, prefixBits, mac }: BridgeInterface,
): AddressView {
  return { ip: address, prefixBits, mac, hostname: hostnameOf(spec) }
}

/** Bars from the wake on: each phase begins where the one before it ended. */
function viewPhases({ phases, wakeAtMs, queueMs }: ManagedInstance): readonly PhaseView[] {
  const wakeNs = wakeAtMs * NS_PER_MS
  const firstNs = phases[0]?.atNs ?? wakeNs
  // What was adopted began before this process knew of it.
  let beforeNs = Math.min(wakeNs, firstNs)
  const originBarNs = beforeNs
  const queue: readonly PhaseView[] =
    queueMs === undefined ? [] : [{ name: 'queue', startMs: 0, durationMs: queueMs }]
  const bars = phases.map(({ name, atNs }): PhaseView => {
    const bar = {
      name,
      startMs: (beforeNs - originBarNs) / NS_PER_MS,
      durationMs: Math.max(0, atNs - beforeNs) / NS_PER_MS,
    }
    beforeNs = atNs
    return bar
  })
  return [...queue, ...bars.filter(isTold(bars))]
}

/** `ready` says nothing new where there is no health path: it is the end of `listen`. */
function isTold(bars: readonly PhaseView[]): (bar: PhaseView) => boolean {
  const hasListened = bars.some(({ name }) => name === 'listen')
  return ({ name, durationMs }) => name !== 'ready' || !hasListened || durationMs > 1
}

export function viewRevision(
  revision: Revision,
  facts: { readonly runtime: string; readonly percent: number; readonly instancesLive: number },
): RevisionView {
  const { number, image, spec, createdAtMs } = revision
  return { number, image, spec, createdAtMs, ...facts }
}

export function viewFailure(failure: Failure, logTail: readonly string[]): TaskErrorView {
  return { ...failure, logTail }
}

/** @param httpPort  where the proxy listens */
export function urlsOf(spec: TaskSpec, httpPort: number): readonly string[] {
  const suffix = httpPort === 80 ? '' : `:${httpPort}`
  const urls = (spec.http?.routes ?? []).flatMap((text) => {
    const { host, segments } = parseRoute(text)
    if (host.kind !== 'exact') return []
    const path = formatRoute({ method: null, host, segments }).slice(host.name.length)
    return [`http://${host.name}${suffix}${path === '' ? '/' : path}`]
  })
  return [...new Set(urls)]
}

export function viewPublish(
  spec: TaskSpec,
  failure: (address: string, hostPort: number) => string | undefined,
): readonly PublishView[] {
  return spec.ports.flatMap(({ port, publish }) => {
    if (publish === null) return []
    const { address, port: hostPort } = publish
    return [{ address, hostPort, port, error: failure(address, hostPort) ?? null }]
  })
}
