/** The control service's node: health, configuration, usage, events, metrics. */

import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, hostname, totalmem } from 'node:os'
import path from 'node:path'

import type {
  CpuView,
  EventView,
  HealthView,
  NodeView,
  SpaceView,
  TopView,
} from '../../api/resources.ts'
import type { NodeControl } from '../../api/service.ts'
import { VERSION } from '../../core/version.ts'
import type { Driver, ProbeReport } from '../../drivers/driver.ts'
import type { EventLog } from '../../scheduler/events.ts'

import { buildMetrics } from './metrics.ts'
import { readAddresses, type ServiceParts } from './parts.ts'

const OVERLOADED_CPU_PERCENT = 95
const OVERLOADED_MEMORY_SHARE = 0.05
const OVERLOADED_DISK_SHARE = 0.02
const CRITICAL_DISK_BYTES = 16 * 1024 * 1024
/** Events that wait for a slow reader. */
const PENDING_MAX = 10_000
/** A probe starts a process: a health check every second must not. */
const PROBE_KEPT_MS = 30_000

export function buildNodeControl(parts: ServiceParts): NodeControl {
  const cpu = new CpuMeter()
  const usage = new UsageMeter()
  const probes = new Probes()
  const startedAtMs = Date.now()
  return {
    health: () => health(parts, cpu.read(), probes),
    node: () => describeNode(parts, startedAtMs),
    configuration: async () => ({ entries: parts.config.entries }),
    top: () => top(parts, cpu.read(), usage),
    metrics: () => buildMetrics(parts),
    events: (query, signal) => readEvents(query, signal, parts),
  }
}

async function health(parts: ServiceParts, cpu: CpuView, probes: Probes): Promise<HealthView> {
  const { config, drivers, dataPlane } = parts
  const [memory, disk] = await Promise.all([readMemory(), readDisk(config.dataFolder)])
  const backends = await Promise.all(
    [...drivers.values()].map(async (driver) => {
      const { usable, findings } = await probes.read(driver)
      return {
        isolation: driver.isolation,
        isUsable: usable,
        findings: findings.map(({ feature, present, isRequired, remedy }) => ({
          feature,
          isPresent: present,
          isRequired,
          remedy: present ? null : (remedy ?? null),
        })),
      }
    }),
  )
  const critical = [
    ...(dataPlane.isConnected ? [] : ['the proxy is not connected: no request is answered']),
    ...(backends.some(({ isUsable }) => isUsable) ? [] : ['no isolation works on this machine']),
    ...(disk.availableBytes > CRITICAL_DISK_BYTES ? [] : ['the disk of the data folder is full']),
  ]
  const overloaded = [
    ...(dataPlane.isEgressConnected ? [] : ['egress is not connected: instances reach nothing']),
    ...(cpu.usedPercent < OVERLOADED_CPU_PERCENT ? [] : ['the CPUs are nearly used up']),
    ...(isScarce(memory, OVERLOADED_MEMORY_SHARE) ? ['memory is nearly used up'] : []),
    ...(isScarce(disk, OVERLOADED_DISK_SHARE)
      ? ['the disk of the data folder is nearly full']
      : []),
  ]
  return {
    isCritical: critical.length > 0,
    isOverloaded: overloaded.length > 0,
    cpu,
    memory,
    disk,
    backends,
    processes: { proxy: dataPlane.isConnected, egress: dataPlane.isEgressConnected },
    problems: [...critical, ...overloaded, ...(await findDamage(parts))],
  }
}

/** What is lost of the data folder; a node works without it, and its operator should know. */
async function findDamage({
  config,
  images,
  listSetAside,
}: ServiceParts): Promise<readonly string[]> {
  const folder = path.join(config.dataFolder, 'state')
  const missing = await images.findMissing()
  return [
    ...listSetAside().map(
      (key) =>
        `"${key}" was damaged and is set aside in ${folder}/state.db-damaged: deploy or import it again, then delete that file`,
    ),
    ...missing.map(
      (what) => `in ${config.dataFolder}, ${what}: what needs them is deployed or imported again`,
    ),
  ]
}

async function describeNode(parts: ServiceParts, startedAtMs: number): Promise<NodeView> {
  const { config, scheduler } = parts
  const live = [...scheduler.controllers].flatMap(({ instances }) => instances)
  return {
    hostname: hostname(),
    version: VERSION,
    platform: `${process.platform}/${process.arch}`,
    pid: process.pid,
    startedAtMs,
    isRoot: process.getuid?.() === 0,
    dataFolder: config.dataFolder,
    runFolder: config.runFolder,
    addresses: await readAddresses(config.runFolder),
    tasks: scheduler.registry.list().length,
    instancesLive: live.filter(({ isLive }) => isLive).length,
  }
}

async function top(parts: ServiceParts, cpu: CpuView, meter: UsageMeter): Promise<TopView> {
  const live = [...parts.scheduler.controllers]
    .flatMap(({ instances }) => instances)
    .filter(({ isLive }) => isLive)
  const instances = await Promise.all(
    live.map(async ({ id, instance, inFlight, requests }) => {
      const { cpuNs, memoryBytes, pids } = await instance.usage()
      return {
        id,
        task: instance.plan.task,
        state: instance.state,
        cpuPercent: meter.percent(id, cpuNs),
        memoryBytes,
        memoryBytesMax: instance.plan.spec.limits.memoryBytes,
        pids,
        inFlight,
        requests,
      }
    }),
  )
  meter.forgetOthers(new Set(live.map(({ id }) => id)))
  return { atMs: Date.now(), cpu, memory: await readMemory(), instances }
}

async function* readEvents(
  query: Parameters<NodeControl['events']>[0],
  signal: AbortSignal,
  { events }: ServiceParts,
): AsyncIterable<EventView> {
  const { sinceMs = 0, task } = query
  const isWanted = (event: EventView) =>
    event.atMs >= sinceMs && (task === undefined || event.task === task)
  // Subscribes before it reads, so that nothing falls between.
  using feed = new EventFeed(events, signal)
  yield* events.list().filter(isWanted)
  if (query.follow === true) for await (const event of feed) if (isWanted(event)) yield event
}

/** Events from now on, until the signal. */
class EventFeed implements Disposable {
  readonly #pending: EventView[] = []
  readonly #subscription: Disposable
  readonly #signal: AbortSignal
  #wake: () => void = () => {}

  constructor(events: EventLog, signal: AbortSignal) {
    this.#signal = signal
    this.#subscription = events.subscribe((event) => {
      this.#pending.push(event)
      // A reader that has fallen this far behind misses the oldest.
      if (this.#pending.length > PENDING_MAX) this.#pending.shift()
      this.#wake()
    })
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EventView> {
    while (!this.#signal.aborted) {
      yield* this.#pending.splice(0)
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      if (this.#pending.length === 0 && !this.#signal.aborted) await promise
    }
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
  }
}

/** What drivers found usable is believed for a while. */
class Probes {
  readonly #usable = new Map<Driver, { readonly report: ProbeReport; readonly atMs: number }>()

  async read(driver: Driver): Promise<ProbeReport> {
    const kept = this.#usable.get(driver)
    if (kept !== undefined && performance.now() - kept.atMs < PROBE_KEPT_MS) return kept.report
    const report = await driver.probe()
    if (report.usable) this.#usable.set(driver, { report, atMs: performance.now() })
    else this.#usable.delete(driver)
    return report
  }
}

/** Used share of all cores between two readings. */
class CpuMeter {
  #before = { idleMs: 0, totalMs: 0 }
  #usedPercent = 0

  read(): CpuView {
    const times = cpus().map((cpu) => cpu.times)
    const idleMs = times.reduce((sum, { idle }) => sum + idle, 0)
    const totalMs = times.reduce(
      (sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq,
      0,
    )
    const elapsedMs = totalMs - this.#before.totalMs
    // Two readings at once say nothing about each other.
    if (elapsedMs >= 100) {
      this.#usedPercent = 100 * (1 - (idleMs - this.#before.idleMs) / elapsedMs)
      this.#before = { idleMs, totalMs }
    }
    return { cores: availableParallelism(), usedPercent: Math.round(this.#usedPercent) }
  }
}

/** CPU of each instance between two readings. */
class UsageMeter {
  readonly #before = new Map<string, { readonly cpuNs: number; readonly atMs: number }>()

  percent(id: string, cpuNs: number): number {
    const atMs = performance.now()
    const before = this.#before.get(id)
    this.#before.set(id, { cpuNs, atMs })
    if (before === undefined || atMs === before.atMs) return 0
    return ((cpuNs - before.cpuNs) / 1e6 / (atMs - before.atMs)) * 100
  }

  forgetOthers(ids: ReadonlySet<string>): void {
    for (const id of this.#before.keys()) if (!ids.has(id)) this.#before.delete(id)
  }
}

async function readMemory(): Promise<SpaceView> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '')
  const [, available] = /^MemAvailable:\s+(\d+) kB$/m.exec(text) ?? []
  const availableBytes = available === undefined ? freemem() : Number(available) * 1024
  return { totalBytes: totalmem(), availableBytes }
}

async function readDisk(folder: string): Promise<SpaceView> {
  const { blocks, bavail, bsize } = await statfs(folder)
  return { totalBytes: blocks * bsize, availableBytes: bavail * bsize }
}

function isScarce({ totalBytes, availableBytes }: SpaceView, share: number): boolean {
  return availableBytes < totalBytes * share
}
