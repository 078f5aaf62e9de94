/** Many machines at once: all are asked at the same moment, and all answer; and what each of them takes of the memory, idle. */

import { setTimeout as delay } from 'node:timers/promises'

import { quantile, report, say } from './measure.ts'
import { readMachineMemory, type MachineMemory } from './microvm/memory.ts'
import { findGuests, type Guests } from './microvm/nodes.ts'
import { ALWAYS_ON, BenchNode, processTree, type ProcessInfo } from './node.ts'
import type { BenchOptions } from './suite.ts'

const MACHINES = 50
const MIB = 1024 * 1024
/** A guest gives free memory back within two seconds. */
const SETTLE_MS = 4000

export async function run({ n = MACHINES }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  const isolation = ['--isolation', 'microvm']
  await node.deployExample('node-hello', ALWAYS_ON, 'node-hello', ...isolation)
  await node.request('node-hello')
  const machine = await findGuests(node)
  await reportIdle(node, 'node-hello', machine)
  await node.processes.ok('rm', 'node-hello')

  await node.deployExample('static-c', ALWAYS_ON, 'static-0', ...isolation)
  await node.request('static-0')
  await reportIdle(node, 'static-one', machine)
  await node.processes.ok('stop', 'static-0')
  await askAll(node, n, machine)
  await reportIdle(node, 'static', machine)
}

/** All machines start at once, each for a request of its own. */
async function askAll(node: BenchNode, count: number, machine: Guests): Promise<void> {
  const { image } = await node.describe('static-0')
  const names = Array.from({ length: count }, (_, index) => `static-${index + 1}`)
  for (const name of names) await node.deployAs(name, image, 'microvm')
  const answers = await Promise.all(names.map((name) => node.request(name)))
  const ok = answers.filter(({ status }) => status === 200).length
  const times = answers.map(({ ms }) => ms)
  report({ name: 'microvm-crowd.ok.count', value: ok, unit: 'count', n: count, machine })
  for (const [name, share] of STATISTICS) {
    const value = quantile(times, share)
    report({ name: `microvm-crowd.answer.${name}`, value, unit: 'ms', n: count, machine })
  }
}

const STATISTICS = [
  ['p50', 0.5],
  ['p95', 0.95],
  ['max', 1],
] as const

/** Of the machine in the middle. */
async function reportIdle(node: BenchNode, name: string, machine: Guests): Promise<void> {
  await delay(SETTLE_MS)
  const all = await machinesOf(node)
  const sorted = all.toSorted((a, b) => a.private - b.private)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error(`no machine of ${name} runs`)
  const facts = { unit: 'MiB', n: all.length, machine } as const
  report({ name: `microvm-crowd.${name}.private`, value: middle.private / MIB, ...facts })
  const parts = ['guest', 'translations', 'rest', 'around', 'files'] as const
  const split = parts.map((part) => `${part} ${(middle[part] / MIB).toFixed(1)}`)
  say(`${name}, of ${all.length}: MiB of one: ${split.join(', ')}`)
}

async function machinesOf(node: BenchNode): Promise<readonly MachineMemory[]> {
  const tree = await processTree(await node.processes.pid('control'))
  const hypervisors = tree.filter(({ command }) => command.startsWith('qemu-system'))
  return await Promise.all(
    hypervisors.map(({ pid, parent }) => readMachineMemory(pid, chainOf(parent, tree))),
  )
}

/** `ainit vm`, the two processes of bwrap … up to control. */
function chainOf(pid: number, tree: readonly ProcessInfo[]): readonly number[] {
  const [control] = tree
  const info = tree.find((one) => one.pid === pid)
  if (info === undefined || pid === control?.pid) return []
  return [pid, ...chainOf(info.parent, tree)]
}
