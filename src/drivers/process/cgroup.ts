/**
 * Control groups of instances, on version 1 and version 2 hierarchies alike.
 *
 * Each instance has two: an outer one for bwrap and ainit, and one for the task, which alone is limited and
 * frozen, so that ainit always answers. Calls are synchronous: cgroupfs is memory, and they are on the cold path.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/{memory,freezer-subsystem}.html
 */

import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errnoOf } from '../../core/error.ts'
import type { Usage } from '../../core/instance.ts'

export interface Limits {
  readonly memoryBytes: number
  readonly cpuMillis: number | null
  readonly pids: number
}

/** The control groups of this node: makes, finds and removes those of its instances. */
export interface CgroupHierarchy {
  readonly version: 1 | 2 | 'none'
  /** What cannot be limited here, by controller name. */
  readonly missing: readonly string[]
  group(id: string): InstanceCgroup
  /** Ids of all instances that have a group here. */
  list(): readonly string[]
  /** Removes the node's own groups, where nothing is in them any more. */
  removeRoots(): void
}

/** Folder names by what they are used for; several may be the same folder. */
interface Folders {
  /** Joined by bwrap and ainit. */
  readonly outer: readonly string[]
  /** Joined by the task. */
  readonly task: readonly string[]
  /** Made in this order, removed in the reverse order. */
  readonly all: readonly string[]
  /** The task's folder of each controller; absent: not available. */
  readonly controllers: Readonly<Partial<Record<Controller, string>>>
}

type Controller = 'memory' | 'cpu' | 'cpuacct' | 'pids' | 'freezer'
const CPU_PERIOD_US = 100_000
const KILL_ROUND_MS = 5

export class InstanceCgroup {
  readonly #version: 1 | 2 | 'none'
  readonly #folders: Folders

  constructor(version: 1 | 2 | 'none', folders: Folders) {
    this.#version = version
    this.#folders = folders
  }

  /** Folders that bwrap and ainit join, and those that the task joins. */
  get outer(): readonly string[] {
    return this.#folders.outer
  }

  get task(): readonly string[] {
    return this.#folders.task
  }

  create(limits: Limits): void {
    for (const folder of this.#folders.all) mkdirSync(folder, { recursive: true, mode: 0o755 })
    if (this.#version === 2) {
      const [parent = ''] = this.#folders.all
      enableControllers(parent)
    }
    this.#limit(limits)
  }

  #limit({ memoryBytes, cpuMillis, pids }: Limits): void {
    const { memory, pids: pidsFolder } = this.#folders.controllers
    if (memory !== undefined && this.#version === 2) {
      write(memory, 'memory.max', memoryBytes)
      writeIfPresent(memory, 'memory.swap.max', 0)
    }
    if (memory !== undefined && this.#version === 1) {
      write(memory, 'memory.limit_in_bytes', memoryBytes)
      writeIfPresent(memory, 'memory.memsw.limit_in_bytes', memoryBytes)
    }
    if (pidsFolder !== undefined) write(pidsFolder, 'pids.max', pids)
    this.limitCpu(cpuMillis)
  }

  /** @param cpuMillis  thousandths of a core; null: no limit */
  limitCpu(cpuMillis: number | null): void {
    const { cpu } = this.#folders.controllers
    if (cpu === undefined) return
    const quotaUs = cpuMillis === null ? -1 : Math.max(1000, (cpuMillis * CPU_PERIOD_US) / 1000)
    if (this.#version === 2) {
      write(cpu, 'cpu.max', `${quotaUs === -1 ? 'max' : quotaUs} ${CPU_PERIOD_US}`)
      return
    }
    write(cpu, 'cpu.cfs_quota_us', quotaUs)
  }

  /** Whether the task can be frozen here. */
  get canFreeze(): boolean {
    return this.#folders.controllers.freezer !== undefined
  }

  get isFrozen(): boolean {
    const { freezer } = this.#folders.controllers
    if (freezer === undefined) return false
    if (this.#version === 2) return read(freezer, 'cgroup.freeze') === '1'
    return read(freezer, 'freezer.state') !== 'THAWED'
  }

  /** Resolves when every process of the task is frozen. */
  async freeze(signal: AbortSignal): Promise<void> {
    const { freezer } = this.#folders.controllers
    if (freezer === undefined) return
    this.#setFrozen(freezer, true)
    // The kernel offers no event on version 1; a process in a system call may take a moment.
    while (!this.#hasFrozen(freezer)) await delay(1, undefined, { signal })
  }

  #hasFrozen(freezer: string): boolean {
    if (this.#version === 2) return read(freezer, 'cgroup.events').includes('frozen 1')
    return read(freezer, 'freezer.state') === 'FROZEN'
  }

  thaw(): void {
    const { freezer } = this.#folders.controllers
    if (freezer !== undefined) this.#setFrozen(freezer, false)
  }

  /** A group that is gone is neither frozen nor thawed. */
  #setFrozen(freezer: string, isFrozen: boolean): void {
    if (this.#version === 2) writeIfPresent(freezer, 'cgroup.freeze', isFrozen ? 1 : 0)
    else writeIfPresent(freezer, 'freezer.state', isFrozen ? 'FROZEN' : 'THAWED')
  }

  usage(): Usage {
    const { memory = '', cpuacct = '', pids = '' } = this.#folders.controllers
    const isV2 = this.#version === 2
    const events = read(memory, isV2 ? 'memory.events' : 'memory.oom_control')
    return {
      memoryBytes: number(read(memory, isV2 ? 'memory.current' : 'memory.usage_in_bytes')),
      memoryBytesMax: number(read(memory, isV2 ? 'memory.peak' : 'memory.max_usage_in_bytes')),
      cpuNs: isV2
        ? field(read(cpuacct, 'cpu.stat'), 'usage_usec') * 1000
        : number(read(cpuacct, 'cpuacct.usage')),
      pids: number(read(pids, 'pids.current')),
      oomKills: field(events, 'oom_kill'),
      pidsRefused: field(read(pids, 'pids.events'), 'max'),
    }
  }

  processes(): readonly number[] {
    const folders = [...this.#folders.outer, ...this.#folders.task.slice(0, 1)]
    return folders.flatMap((folder) =>
      read(folder, 'cgroup.procs')
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 0),
    )
  }

  /**
   * Ends everything in both groups and resolves when nothing is left. SIGKILL comes first and thawing second: a
   * frozen process dies at the moment it is thawed, without running another instruction.
   */
  async kill(): Promise<void> {
    for (;;) {
      const pids = this.processes()
      for (const pid of pids) killQuietly(pid)
      this.thaw()
      if (pids.length === 0) return
      await delay(KILL_ROUND_MS)
    }
  }

  /**
   * Removes the folders; the processes must be gone. Retries while the kernel still lets go of them; what it does not let
   * go of is left to the next adoption, because the end of an instance must not wait for it.
   */
  async remove(): Promise<void> {
    for (const folder of this.#folders.all.toReversed()) await removeFolder(folder)
  }
}

const LEGACY_CONTROLLERS = ['memory', 'cpu', 'cpuacct', 'pids', 'freezer'] as const
const V2_CONTROLLERS = ['memory', 'cpu', 'pids'] as const
const REMOVE_TRIES_MAX = 400

/**
 * Finds out what this host has and makes the node's own group.
 *
 * @param nodeId     names the node's group, so that two nodes on one host never meet
 * @param mountInfo  the text of `/proc/self/mountinfo`
 */
export function openCgroups(nodeId: string, mountInfo: string): CgroupHierarchy {
  const mounts = parseMounts(mountInfo)
  const unified = mounts.get('')
  if (unified !== undefined && read(unified, 'cgroup.controllers').includes('memory')) {
    const hierarchy = openUnified(path.join(unified, 'quiver', nodeId))
    if (hierarchy !== undefined) return hierarchy
  }
  const hierarchy = openLegacy(mounts, nodeId)
  if (hierarchy !== undefined) return hierarchy
  const nothing: Folders = { outer: [], task: [], all: [], controllers: {} }
  return {
    version: 'none',
    missing: ['memory', 'cpu', 'pids', 'freezer'],
    group: () => new InstanceCgroup('none', nothing),
    list: () => [],
    removeRoots: () => {},
  }
}

function openUnified(root: string): CgroupHierarchy | undefined {
  try {
    mkdirSync(root, { recursive: true })
    enableControllers(path.dirname(path.dirname(root)))
    enableControllers(path.dirname(root))
    enableControllers(root)
  } catch {
    return undefined
  }
  const available = read(root, 'cgroup.controllers').split(' ')
  return {
    version: 2,
    missing: V2_CONTROLLERS.filter((controller) => !available.includes(controller)),
    group: (id) => {
      const folder = path.join(root, id)
      // A group with controllers for its children may hold no process itself: ainit gets a leaf too.
      const [outer, task] = [path.join(folder, 'ainit'), path.join(folder, 'task')]
      const controllers = { memory: task, cpu: task, cpuacct: task, pids: task, freezer: task }
      return new InstanceCgroup(2, {
        outer: [outer],
        task: [task],
        all: [folder, outer, task],
        controllers,
      })
    },
    list: () => childFolders(root),
    removeRoots: () => removeEmpty(root),
  }
}

function openLegacy(
  mounts: ReadonlyMap<string, string>,
  nodeId: string,
): CgroupHierarchy | undefined {
  const roots: Partial<Record<Controller, string>> = {}
  for (const controller of LEGACY_CONTROLLERS) {
    const mount = mounts.get(controller)
    if (mount === undefined) continue
    const root = path.join(mount, 'quiver', nodeId)
    try {
      mkdirSync(root, { recursive: true })
      roots[controller] = root
    } catch {
      // Read-only or not ours: reported as missing.
    }
  }
  const outerRoot = roots.freezer ?? roots.pids
  if (outerRoot === undefined) return undefined
  return {
    version: 1,
    missing: (['memory', 'cpu', 'pids', 'freezer'] as const).filter((name) => !(name in roots)),
    group: (id) => {
      const outer = path.join(outerRoot, id)
      const controllers: Partial<Record<Controller, string>> = {}
      for (const controller of LEGACY_CONTROLLERS) {
        const root = roots[controller]
        if (root === undefined) continue
        controllers[controller] =
          root === outerRoot ? path.join(outer, 'task') : path.join(root, id)
      }
      const task = [...new Set(Object.values(controllers))]
      return new InstanceCgroup(1, { outer: [outer], task, all: [outer, ...task], controllers })
    },
    list: () => childFolders(outerRoot),
    removeRoots: () => {
      for (const root of new Set(Object.values(roots))) removeEmpty(root)
    },
  }
}

/** Mount point by version 1 controller; `''` is the version 2 hierarchy. */
function parseMounts(mountInfo: string): ReadonlyMap<string, string> {
  const mounts = new Map<string, string>()
  for (const line of mountInfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const mountPoint = left.split(' ')[4] ?? ''
    const [type, , options = ''] = right.split(' ')
    if (type === 'cgroup2') mounts.set('', mountPoint)
    if (type === 'cgroup') for (const option of options.split(',')) mounts.set(option, mountPoint)
  }
  return mounts
}

function enableControllers(folder: string): void {
  for (const controller of V2_CONTROLLERS) {
    writeIfPresent(folder, 'cgroup.subtree_control', `+${controller}`)
  }
}

async function removeFolder(folder: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      rmdirSync(folder)
      return
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT') return
      if (code !== 'EBUSY') throw error
      if (tries === REMOVE_TRIES_MAX) return
      await delay(KILL_ROUND_MS)
    }
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Somebody is in it, or it is gone.
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

function write(folder: string, file: string, value: string | number): void {
  writeFileSync(path.join(folder, file), String(value))
}

function writeIfPresent(folder: string, file: string, value: string | number): void {
  try {
    write(folder, file, value)
  } catch {
    // Not offered by this kernel, or the group is gone.
  }
}

function read(folder: string, file: string): string {
  try {
    return readFileSync(path.join(folder, file), 'utf8').trim()
  } catch {
    return ''
  }
}

function childFolders(root: string): readonly string[] {
  const entries = readdirSync(root, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

function number(text: string): number {
  return Number(text) || 0
}

/** The number after `name ` in lines of `name number`. */
function field(text: string, name: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `))
  return number(line?.slice(name.length + 1) ?? '')
}
