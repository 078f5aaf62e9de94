/** Kills processes of a test node, and finds what should not be there any more. */

import { createHash } from 'node:crypto'
import { readdir, readFile, readlink } from 'node:fs/promises'
import path from 'node:path'

import type { InstanceView } from '../../src/api/resources.ts'

import type { ProcessName, TestNode } from './harness.ts'

const CGROUPS = '/sys/fs/cgroup'

/** SIGKILL, and waits until it is gone. @returns its pid */
export async function killProcess(node: TestNode, name: ProcessName): Promise<number> {
  const pid = await node.pid(name)
  process.kill(pid, 'SIGKILL')
  await gone(node, pid)
  return pid
}

/** SIGKILL to each of them. With the supervisor its children end, too: some of them may be gone by then. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It was quicker.
    }
  }
}

export async function gone(node: TestNode, pid: number): Promise<void> {
  await node.until(`the end of ${pid}`, async () => ((await isAlive(pid)) ? undefined : true))
}

async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return status !== '' && !/^\d+ \(.*\) [ZX] /.test(status)
}

export async function instancesOf(node: TestNode, task: string): Promise<readonly InstanceView[]> {
  return (await node.describe(task)).instances
}

export function isLive({ state }: InstanceView): boolean {
  return state !== 'exited' && state !== 'failed'
}

/** The one instance that lives. */
export async function liveInstance(node: TestNode, task: string): Promise<InstanceView> {
  const live = (await instancesOf(node, task)).filter(isLive)
  const [only] = live
  if (only === undefined || live.length > 1) throw new Error(`${live.length} instances live`)
  return only
}

/**
 * Pids of an instance on the host, by what they are.
 *
 * @param group  of the node's control groups
 */
export async function processesOf(
  node: TestNode,
  id: string,
  group = nodeId(node),
): Promise<Readonly<Record<'bwrap' | 'ainit' | 'task', number>>> {
  const outer = await pidsIn(path.join(CGROUPS, 'freezer/quiver', group, id))
  const inner = await pidsIn(path.join(CGROUPS, 'freezer/quiver', group, id, 'task'))
  const named = await Promise.all(
    outer.map(async (pid) => ({ pid, init: await isPidOne(pid) }) as const),
  )
  const ainit = named.find(({ init }) => init)?.pid
  const bwrap = named.find(({ init }) => !init)?.pid
  const [task] = inner
  if (ainit === undefined || bwrap === undefined || task === undefined) {
    throw new Error(`${id} has processes ${outer.join(' ')} and ${inner.join(' ')}`)
  }
  return { bwrap, ainit, task }
}

/** The processes of the one executor that lives: `task` is what runs WebAssembly. */
export async function executorProcesses(
  node: TestNode,
): Promise<Readonly<Record<'bwrap' | 'ainit' | 'task', number>>> {
  const group = `${nodeId(node)}-executors`
  const entries = await list(path.join(CGROUPS, 'freezer/quiver', group))
  const [id, ...more] = entries.filter((name) => name.startsWith('executor-'))
  if (id === undefined || more.length > 0) throw new Error(`executors: ${entries.join(' ')}`)
  return await processesOf(node, id, group)
}

async function pidsIn(cgroup: string): Promise<readonly number[]> {
  const content = await readFile(path.join(cgroup, 'cgroup.procs'), 'utf8').catch(() => '')
  return content
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
}

/** Whether it is the first process of a pid namespace. */
async function isPidOne(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const [, pids = ''] = /^NSpid:\s+(.*)$/m.exec(status) ?? []
  const numbers = pids.split('\t')
  return numbers.length > 1 && numbers.at(-1) === '1'
}

/** As control names its control groups. */
export function nodeId(node: TestNode): string {
  return createHash('sha256').update(node.data).digest('hex').slice(0, 8)
}

/** Control groups, sockets, folders and processes of instances that no task of the node lists. */
export async function strays(node: TestNode): Promise<readonly string[]> {
  const tasks = await Promise.all((await node.ps()).map(({ name }) => node.describe(name)))
  const instances = tasks.flatMap((task) => task.instances)
  const listed = new Set(instances.map(({ id }) => id))
  const live = new Set(instances.filter(isLive).map(({ id }) => id))
  const sockets = new Set([...live].map((id) => socketName(id)))
  const [groups, folders, names, processes] = await Promise.all([
    listCgroups(node),
    list(path.join(node.data, 'instances')),
    list(path.join(node.run, 'i')),
    listProcesses(node),
  ])
  return [
    ...groups.filter((id) => !live.has(id)).map((id) => `cgroup ${id}`),
    ...folders.filter((id) => !listed.has(id)).map((id) => `folder ${id}`),
    ...names.filter((name) => !sockets.has(name.slice(0, -2))).map((name) => `socket ${name}`),
    ...processes.filter(([, id]) => !live.has(id)).map(([pid, id]) => `process ${pid} of ${id}`),
  ]
}

function socketName(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 12)
}

async function list(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch(() => [])
}

async function listCgroups(node: TestNode): Promise<readonly string[]> {
  const hierarchies = ['', ...(await list(CGROUPS))]
  const ids = await Promise.all(
    hierarchies.map(async (name) => {
      const folder = path.join(CGROUPS, name, 'quiver', nodeId(node))
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
      return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    }),
  )
  return [...new Set(ids.flat())]
}

/** Processes whose root is a tree of the node, by the instance in their control group; and every bwrap of its folders. */
async function listProcesses(node: TestNode): Promise<readonly (readonly [number, string])[]> {
  const found: (readonly [number, string])[] = []
  for (const pid of (await list('/proc')).map(Number).filter(Number.isInteger)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const [, byCommand] = command.includes(`${node.data}/instances/`)
      ? (new RegExp(`${node.data}/instances/([^/\\0]+)`).exec(command) ?? [])
      : []
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
    const [, byCgroup] = new RegExp(`/quiver/${nodeId(node)}/([^/\n]+)`).exec(cgroups) ?? []
    const isGone = (await readlink(`/proc/${pid}/exe`).catch(() => '')) === ''
    const id = byCommand ?? byCgroup
    if (id !== undefined && !isGone) found.push([pid, id])
  }
  return found
}
