/** What costs memory: an idle instance beyond its process, and a node with very many tasks that sleep. */

import { setTimeout as delay } from 'node:timers/promises'

import { quantile, report, reportDurations, say } from './measure.ts'
import { ALWAYS_ON, BenchNode, memoryBytes, processTree } from './node.ts'
import type { BenchOptions } from './suite.ts'

const TASKS = 10_000
const TASK = 'static-c'
const MIB = 1024 * 1024
/** Deployments under way at once. */
const CONCURRENCY = 16
const ROUTE_REQUESTS = 500
const LISTINGS = 5
/** After work: a node gives memory back within some seconds. */
const SETTLE_MS = 12_000

/** Our own processes in an instance: everything but the task. */
const OVERHEAD = new Set(['bwrap', '.ainit', 'ainit'])

export async function run({ n = TASKS }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  await node.deployExample(TASK, ALWAYS_ON)
  await node.request(TASK)
  await reportOverhead(node)
  const before = await routeTimes(node)
  // Compares processes that have just started, so that neither figure holds the garbage of what was done before.
  await node.restart()
  const empty = await memory(node)
  reportNode('density.node-empty', empty, 1)

  const startMs = performance.now()
  await deployMany(node, n)
  const seconds = (performance.now() - startMs) / 1000
  report({ name: 'density.deploy.mean', value: (seconds * 1000) / n, unit: 'ms', n })
  const deployed = await memory(node)
  reportGrowth('density.deploying.pss', empty, deployed, n)
  reportNode('density.deploying-node', deployed, n)
  await node.restart()
  const full = await memory(node)
  reportGrowth('density.tasks.pss', empty, full, n)
  reportNode('density.node', full, n)

  await node.request(TASK)
  const after = await routeTimes(node)
  reportDurations('density.route', after, { name: 'with 1 task', samples: before })
  const listings: number[] = []
  for (let index = 0; index < LISTINGS; index++) {
    const beganMs = performance.now()
    await node.processes.ok('ps')
    listings.push((performance.now() - beganMs) / 1000)
  }
  report({ name: 'density.ps.p50', value: quantile(listings, 0.5), unit: 's', n: LISTINGS })
}

async function reportOverhead(node: BenchNode): Promise<void> {
  const control = await node.processes.pid('control')
  const tree = await processTree(control)
  const overhead = tree.filter(({ command }) => OVERHEAD.has(command)).map(({ pid }) => pid)
  // The C library that bwrap maps is in memory anyway: control maps it too.
  const added = (await memoryBytes([control, ...overhead])) - (await memoryBytes([control]))
  report({ name: 'density.overhead.pss', value: added / MIB, unit: 'MiB', n: overhead.length })
}

interface NodeMemory {
  readonly controlAndProxy: number
  readonly all: number
}

async function memory(node: BenchNode): Promise<NodeMemory> {
  await delay(SETTLE_MS)
  const pids = new Map<string, number>()
  for (const name of PROCESSES) {
    const pid = await node.processes.pid(name)
    pids.set(name, pid)
    say(`${name}: ${((await memoryBytes([pid])) / MIB).toFixed(1)} MiB alone`)
  }
  const [control = 0, proxy = 0] = [pids.get('control'), pids.get('proxy')]
  return {
    controlAndProxy: await memoryBytes([control, proxy]),
    all: await memoryBytes([...pids.values()]),
  }
}

const PROCESSES = ['supervise', 'control', 'proxy', 'egress'] as const

function reportNode(prefix: string, { all }: NodeMemory, n: number): void {
  report({ name: `${prefix}.pss`, value: all / MIB, unit: 'MiB', n })
}

function reportGrowth(name: string, before: NodeMemory, after: NodeMemory, n: number): void {
  const value = (after.controlAndProxy - before.controlAndProxy) / MIB
  report({ name, value, unit: 'MiB', n })
}

async function deployMany(node: BenchNode, count: number): Promise<void> {
  const { image } = await node.describe(TASK)
  let next = 0
  const deployNext = async (): Promise<void> => {
    while (next < count) await node.deployAs(`sleeper-${next++}`, image)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, deployNext))
}

async function routeTimes(node: BenchNode): Promise<readonly number[]> {
  const times: number[] = []
  for (let index = 0; index < ROUTE_REQUESTS; index++) times.push((await node.request(TASK)).ms)
  return times
}
