/**
 * Templates and who is cloned from which. Boot templates are machines that were saved when their kernel had started and nothing else:
 * all tasks whose machines are alike have one, made when the first of them is deployed. Ready templates have a program in them, and
 * are of one revision (`ready-template.ts`). Where there is none, machines boot.
 */

import { truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'
import { each, optional, standStill, type Records } from '../process.ts'

import { makeKvmDevice } from './kvm-device.ts'
import { buildTemplateRecords, type MachineParts } from './launch-plan.ts'
import type { Hypervisor, MachinePlan } from './machine.ts'
import {
  programOf,
  revisionOf,
  startReadyMachine,
  type ProgramRevision,
  type ReadyPlan,
} from './ready-template.ts'
import { readTemplateFacts, templateKey, type TemplateFacts } from './template-facts.ts'
import { startTemplateMachine, type TemplateHost, type TemplatePlace } from './template-machine.ts'
import { Templates, type Draft, type SavableMachine, type Template } from './templates.ts'

export interface CloningHost extends TemplateHost {
  /** Holds templates. */
  readonly folder: string
  /** Machines boot then. */
  readonly onFailure: (error: QuiverError) => void
}

interface ReadyEntry {
  readonly key: string
  readonly program: ProgramRevision
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
const TEMPLATES_MAX = 32
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

  /**
   * The template of such a program where it is ready: made now unless it is there, which is a whole start. Where that fails it is
   * started as any other, and nobody tries again for a while.
   *
   * @throws whatever `plan.signal` aborts with
   */
  async ready(plan: ReadyPlan): Promise<Template | undefined> {
    const { parts, machine } = plan
    const facts = await readTemplateFacts(parts.hypervisor, machine, parts, programOf(plan.plan))
    const key = templateKey(facts)
    if (Date.now() - (this.#failedAtMs.get(key) ?? -Infinity) < RETRY_MS) return undefined
    const base = this.#host.host.uidBase
    const uid = base === null ? null : base + plan.plan.uidIndex
    const options = {
      facts,
      memoryBytes: machine.memoryBytes,
      uid,
      gid: uid ?? process.getgid?.() ?? 0,
    }
    try {
      const templates = await this.#templates
      const { made } = templates.counts
      const template = await templates.get(options, (draft) =>
        startReadyMachine(this.#host, plan, draft),
      )
      if (templates.counts.made !== made) await this.#replaceOthers(plan.plan, key)
      return template
    } catch (thrown) {
      this.#failedAtMs.set(key, Date.now())
      plan.signal.throwIfAborted()
      this.#host.onFailure(QuiverError.from(thrown))
      return undefined
    }
  }

  /** Removes the ready templates of revisions that are gone. */
  async prune(exists: (task: string, revision: number) => boolean): Promise<void> {
    for (const { key, program } of await this.#listReady()) {
      if (!exists(program.task, program.revision)) await this.#removeReady(key)
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

  /** What the same revision had with another kernel, hypervisor or environment, nobody goes on from any more. */
  async #replaceOthers({ task, revision }: ProgramRevision, made: string): Promise<void> {
    const ready = await this.#listReady()
    for (const { key, program } of ready) {
      const isSame = program.task === task && program.revision === revision
      if (isSame && key !== made) await this.#removeReady(key)
    }
    await (await this.#templates).collectGarbage(TEMPLATES_MAX)
  }

  async #listReady(): Promise<readonly ReadyEntry[]> {
    const templates = await this.#templates
    const entries = await templates.describe()
    const ready = entries.filter(({ facts }) => facts.kind === 'ready')
    return ready.map(({ key, facts }) => ({ key, program: revisionOf(facts.program) }))
  }

  async #removeReady(key: string): Promise<void> {
    await (await this.#templates).remove(key)
  }

  /** A machine that has started its kernel, and stands still. */
  async #boot({ machine, parts }: BootPlan, draft: Draft): Promise<SavableMachine> {
    const { host } = this.#host
    const planBoot = async ({ id, folder, socket, cgroup }: TemplatePlace): Promise<Records> => {
      const disks = await Promise.all(
        machine.disks.map((_, index) => makePlaceholder(folder, index)),
      )
      const isKvm = parts.accelerator === 'kvm'
      const kvmDevice = isKvm ? await makeKvmDevice(folder, host.uidBase) : null
      return [
        ['id', id],
        ['dir', folder],
        ['socket', socket],
        ...optional('uid', host.uidBase?.toString()),
        ...optional('gid', host.uidBase?.toString()),
        ...each('cgroup', cgroup.outer),
        ...each('task_cgroup', cgroup.task),
        ...buildTemplateRecords(machine, host, { ...parts, disks, kvmDevice }, draft.memoryFile),
      ]
    }
    return await startTemplateMachine(this.#host, draft, {
      limits: { ...LIMITS, memoryBytes: machine.memoryBytes + HYPERVISOR_BYTES },
      hypervisor: parts.hypervisor,
      plan: planBoot,
      stand: ({ socket }) => standStill(`${socket}.c`),
    })
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
