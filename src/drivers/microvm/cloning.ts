/**
 * Boot templates: machines that were saved when their kernel had started and nothing else. All tasks whose machines are alike
 * have one, which is made when the first of them is deployed. Where there is none, machines boot.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'
import {
  each,
  launch,
  optional,
  standStill,
  type InstanceCgroup,
  type ProcessHost,
} from '../process.ts'

import { makeKvmDevice } from './kvm-device.ts'
import { buildTemplateRecords, type MachineParts } from './launch-plan.ts'
import type { Hypervisor, MachinePlan } from './machine.ts'
import { readTemplateFacts, type TemplateFacts } from './template-facts.ts'
import { Templates, type Draft, type SavableMachine, type Template } from './templates.ts'

export interface CloningHost {
  readonly host: ProcessHost
  /** Holds templates. */
  readonly folder: string
  /** Of the driver: a control group for a machine that is saved. */
  readonly group: (id: string) => InstanceCgroup
  /** Machines boot then. */
  readonly onFailure: (error: QuiverError) => void
}

/** A machine that boots: what it is, and what it is made of. */
export interface BootPlan {
  readonly machine: MachinePlan
  readonly parts: Omit<MachineParts, 'kvmDevice'>
}

const MIB = 1024 * 1024
/** As of an instance: see `enclosure.ts`. */
const LIMITS = { cpuMillis: 1000, pids: 128 }
const HYPERVISOR_BYTES = 128 * MIB
const TEMPLATES_MAX = 16
const DISK_BYTES = 1024 ** 4
/** After a failure nobody tries again for as long. */
const RETRY_MS = 10 * 60_000

export class Cloning {
  readonly #host: CloningHost
  readonly #templates: Promise<Templates>
  readonly #failedAtMs = new Map<string, number>()

  constructor(host: CloningHost) {
    this.#host = host
    this.#templates = Templates.open(host.folder)
    // Told to whoever asks.
    this.#templates.catch(() => {})
  }

  /** The template of such a machine, if there is one. */
  async find(plan: BootPlan): Promise<Template | undefined> {
    const templates = await this.#templates
    return await templates.find(await factsOf(plan))
  }

  /** Makes it unless it is there. Where that fails machines boot, and nobody tries again for a while. */
  async provide(plan: BootPlan): Promise<void> {
    const key = `${plan.parts.hypervisor.version} ${plan.machine.memoryBytes} ${plan.machine.disks.length}`
    if (Date.now() - (this.#failedAtMs.get(key) ?? -Infinity) < RETRY_MS) return
    const { uidBase: uid } = this.#host.host
    const { memoryBytes } = plan.machine
    try {
      const templates = await this.#templates
      const facts = await factsOf(plan)
      await templates.get({ facts, memoryBytes, uid }, (draft) => this.#boot(plan, draft))
      await templates.collectGarbage(TEMPLATES_MAX)
    } catch (thrown) {
      this.#failedAtMs.set(key, Date.now())
      this.#host.onFailure(QuiverError.from(thrown))
    }
  }

  /** @throws QuiverError as `Templates.clone`; the template is gone then, and the next machine boots */
  async load(template: Template, hypervisor: Hypervisor, socket: string): Promise<void> {
    const templates = await this.#templates
    try {
      await using control = await hypervisor.connect(socket)
      await templates.clone(template, control)
      await control.resume()
    } catch (thrown) {
      await templates.remove(template.key)
      throw thrown
    }
  }

  /** A machine that has started its kernel, and stands still. */
  async #boot({ machine, parts }: BootPlan, { memoryFile }: Draft): Promise<SavableMachine> {
    const { host, group } = this.#host
    const draft = path.dirname(memoryFile)
    const folder = path.join(draft, 'run')
    const id = `template-0-${randomBytes(6).toString('hex')}`
    const cgroup = group(id)
    const socket = path.join(host.socketFolder, id)
    await mkdir(folder, { mode: 0o711 })
    cgroup.create({ ...LIMITS, memoryBytes: machine.memoryBytes + HYPERVISOR_BYTES })
    const disks = await Promise.all(machine.disks.map((_, index) => makePlaceholder(folder, index)))
    const kvmDevice = parts.accelerator === 'kvm' ? await makeKvmDevice(folder, host.uidBase) : null
    const launched = launch(host.ainitPath, folder, [
      ['id', id],
      ['dir', folder],
      ['socket', socket],
      ...optional('uid', host.uidBase?.toString()),
      ...optional('gid', host.uidBase?.toString()),
      ...each('cgroup', cgroup.outer),
      ...each('task_cgroup', cgroup.task),
      ...buildTemplateRecords(machine, host, { ...parts, disks, kvmDevice }, memoryFile),
    ])
    const ended = launched.ended.then(async () => {
      await cgroup.kill()
      await cgroup.remove()
      for (const suffix of ['.c', '.p', '.q']) await rm(`${socket}${suffix}`, { force: true })
      await rm(folder, { recursive: true, force: true })
    })
    const kill = () => void cgroup.kill()
    try {
      await launched.bound
      const still = await standStill(`${socket}.c`)
      // Without a task to serve, it stays so.
      still[Symbol.dispose]()
      return { control: await parts.hypervisor.connect(`${socket}.q`), ended, kill }
    } catch (thrown) {
      launched.kill()
      kill()
      await ended
      throw thrown
    }
  }
}

/** The guest never asks again how large a disk is: it is as large as any that a clone may have. */
async function makePlaceholder(folder: string, index: number): Promise<string> {
  const file = path.join(folder, `disk${index}`)
  await writeFile(file, '', { mode: 0o444 })
  await truncate(file, DISK_BYTES)
  return file
}

async function factsOf({ machine, parts }: BootPlan): Promise<TemplateFacts> {
  return await readTemplateFacts(parts.hypervisor, machine, parts, null)
}
