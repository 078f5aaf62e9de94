/** The driver of every isolation whose instances are processes of this host: they differ in their enclosure alone. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errnoOf, QuiverError } from '../../core/error.ts'
import type { Isolation } from '../../core/task.ts'
import { isLockHeld, openLock } from '../../fds/lock.ts'
import type {
  Capabilities,
  Driver,
  Instance,
  InstancePlan,
  Mount,
  ProbeReport,
  RevisionPlan,
} from '../driver.ts'
import { readPlan, writePlan } from '../record.ts'

import { openCgroups, type CgroupHierarchy } from './cgroup.ts'
import { diskError } from './disk.ts'
import type { Enclosure } from './enclosure.ts'
import type { ProcessHost } from './host.ts'
import { ProcessInstance, type InstancePaths } from './instance.ts'

const ADOPTION_TIMEOUT_MS = 5000
const ADOPTION_RETRY_MS = 5
/** `<task>-<revision>-<random>`: whatever is called otherwise in our folders is somebody else's. */
const INSTANCE_ID = /^[a-z0-9-]+-\d+-[a-z0-9]{6,}$/

const MIB = 1024 * 1024

/** @param nodeId  names the driver's control groups; never shared by two drivers of a host */
export async function openProcessDriver(
  enclosure: Enclosure,
  host: ProcessHost,
  nodeId: string,
): Promise<Driver> {
  const cgroups = openCgroups(nodeId, await readFile('/proc/self/mountinfo', 'utf8'))
  await mkdir(host.instancesFolder, { recursive: true, mode: 0o711 })
  await mkdir(host.socketFolder, { recursive: true, mode: 0o711 })
  return new ProcessDriver(enclosure, host, cgroups)
}

/** The last thing a node does with a driver's control groups, when all its instances have ended. */
export async function removeGroups(nodeId: string): Promise<void> {
  openCgroups(nodeId, await readFile('/proc/self/mountinfo', 'utf8')).removeRoots()
}

class ProcessDriver implements Driver {
  readonly isolation: Isolation
  readonly capabilities: Capabilities
  readonly #enclosure: Enclosure
  readonly #host: ProcessHost
  readonly #cgroups: CgroupHierarchy

  constructor(enclosure: Enclosure, host: ProcessHost, cgroups: CgroupHierarchy) {
    this.#enclosure = enclosure
    this.#host = host
    this.#cgroups = cgroups
    this.isolation = enclosure.isolation
    const pause = cgroups.group('probe').canFreeze
    const bridge = enclosure.isBridgeable === true && host.bridge !== null
    this.capabilities = { pause, snapshot: false, memoryBytesMin: enclosure.memoryBytesMin, bridge }
  }

  async probe(): Promise<ProbeReport> {
    return await this.#enclosure.probe(this.#cgroups)
  }

  async provision(plan: RevisionPlan, signal: AbortSignal): Promise<void> {
    this.#check(plan, [])
    await this.#enclosure.provision(plan, signal)
  }

  prune(exists: (task: string, revision: number) => boolean): void {
    this.#enclosure.prune?.(exists)
  }

  async prepare(plan: InstancePlan): Promise<Instance> {
    this.#check(plan, plan.mounts)
    const paths = this.#paths(plan.id)
    const cgroup = this.#cgroups.group(plan.id)
    await mkdir(paths.folder, { mode: 0o711 })
    try {
      writePlan(paths.folder, plan)
      await this.#enclosure.writeFiles(plan, paths.folder)
      cgroup.create(this.#enclosure.limits(plan))
    } catch (thrown) {
      await cgroup.remove()
      await rm(paths.folder, { recursive: true, force: true })
      throw diskError(thrown, `an instance of ${plan.task}`)
    }
    return new ProcessInstance(plan, this.#enclosure, this.#host, paths, cgroup)
  }

  async adopt(): Promise<readonly Instance[]> {
    const entries = await readdir(this.#host.instancesFolder, { withFileTypes: true })
    const ids = entries
      .filter((entry) => entry.isDirectory() && INSTANCE_ID.test(entry.name))
      .map(({ name }) => name)
    const found = await Promise.all(ids.map((id) => this.#adoptUnlessGone(id)))
    const instances = found.filter((instance) => instance !== undefined)
    await this.#removeStrayGroups(new Set(ids))
    await this.#host.bridge?.adopted()
    return instances
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #check(plan: RevisionPlan, mounts: readonly Mount[]): void {
    const { isolation, memoryBytesMin } = this.#enclosure
    if (plan.spec.limits.memoryBytes < memoryBytesMin) {
      const least = `${memoryBytesMin / MIB}MiB`
      const message = `${plan.task} has limits.memory below ${least}, the least of isolation "${isolation}"`
      const hint = `Give it at least ${least}.`
      throw new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, { hint })
    }
    this.#enclosure.check(plan, mounts)
  }

  /** Whoever let go of it may just have removed it. */
  async #adoptUnlessGone(id: string): Promise<Instance | undefined> {
    try {
      return await this.#adoptOne(id)
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT' && !existsSync(this.#paths(id).folder)) return undefined
      throw thrown
    }
  }

  async #adoptOne(id: string): Promise<Instance | undefined> {
    const paths = this.#paths(id)
    const plan = await readPlan(paths.folder)
    const cgroup = this.#cgroups.group(id)
    // Held while we bury it: a launch that comes late must not begin.
    await using lock = await openLock(path.join(paths.folder, 'lock'))
    if (plan === undefined) {
      // Never got as far as a plan: nothing was started from it.
      await cgroup.kill()
      await cgroup.remove()
      await rm(paths.folder, { recursive: true, force: true })
      return undefined
    }
    const instance = new ProcessInstance(plan, this.#enclosure, this.#host, paths, cgroup)
    const isDead = lock !== undefined
    if (isDead || !(await this.#reconnect(instance, paths))) await instance.bury()
    else this.#host.bridge?.adopt(plan, paths.folder, instance.state !== 'starting')
    return instance
  }

  /** False when it dies meanwhile, or holds its lock but does not answer: it is then ended. */
  async #reconnect(instance: ProcessInstance, { folder }: InstancePaths): Promise<boolean> {
    const signal = AbortSignal.timeout(ADOPTION_TIMEOUT_MS)
    for (;;) {
      try {
        await instance.reconnect(signal)
        return true
      } catch {
        // Its launch may be under way, before its sockets are bound.
        if (signal.aborted || !(await isLockHeld(path.join(folder, 'lock')))) return false
        await delay(ADOPTION_RETRY_MS)
      }
    }
  }

  async #removeStrayGroups(ids: ReadonlySet<string>): Promise<void> {
    for (const id of this.#cgroups.list()) {
      if (ids.has(id) || !INSTANCE_ID.test(id)) continue
      const cgroup = this.#cgroups.group(id)
      await cgroup.kill()
      await cgroup.remove()
    }
  }

  /** Socket names are short whatever the task is called. */
  #paths(id: string): InstancePaths {
    const name = createHash('sha256').update(id).digest('hex').slice(0, 12)
    return {
      folder: path.join(this.#host.instancesFolder, id),
      socket: path.join(this.#host.socketFolder, name),
    }
  }
}
