/**
 * Ready templates: a machine with a program in it that is ready and has served nobody. It runs as the instance would that it is made
 * for, with what that may reach; it is saved, and ended, before that instance goes on from it.
 */

import { chown, copyFile, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'

import { canonicalJson, digestOf } from '../../core/digest.ts'
import type { InstancePlan } from '../driver.ts'
import { buildRecords, declaredPorts, standStill, untilReady, type Limits } from '../process.ts'

import { makeKvmDevice } from './kvm-device.ts'
import { buildMachineRecords, type MachineParts } from './launch-plan.ts'
import type { MachinePlan } from './machine.ts'
import { startTemplateMachine, type TemplateHost, type TemplatePlace } from './template-machine.ts'
import type { Draft, SavableMachine } from './templates.ts'

export interface ReadyPlan {
  /** The first instance of those that will go on from it. */
  readonly plan: InstancePlan
  /** The folder of that instance, which gets what the program prints while it starts. */
  readonly folder: string
  readonly limits: Limits
  readonly machine: MachinePlan
  readonly parts: Omit<MachineParts, 'kvmDevice'>
  readonly signal: AbortSignal
}

/** Of whom a ready template is. */
export interface ProgramRevision {
  readonly task: string
  readonly revision: number
}

/** What says who an instance is: another one of the same revision has another. */
const INSTANCE_VARIABLE = 'QUIVER_INSTANCE'

/** For `TemplateFacts.program`: two plans of which it is the same run the same program, with the same variables. */
export function programOf(plan: InstancePlan): string {
  const { task, revision, spec, entry, binaryTree, imageTree, relays, wildcards, stdio } = plan
  const trees = [binaryTree, imageTree].map((tree) => path.basename(tree))
  const facts = { spec, entry, trees, relays, wildcards, stdio, env: sharedEnv(plan) }
  return `${task} ${revision} ${digestOf(canonicalJson(facts))}`
}

/** @param program  as `programOf` has it */
export function revisionOf(program: string): ProgramRevision {
  const [task = '', revision = ''] = program.split(' ')
  return { task, revision: Number(revision) }
}

/** @throws QuiverError `unavailable/INSTANCE_GONE` for a program that ends instead; whatever `signal` aborts with */
export async function startReadyMachine(
  templateHost: TemplateHost,
  { plan, folder, limits, parts, signal }: ReadyPlan,
  draft: Draft,
): Promise<SavableMachine> {
  const { host } = templateHost
  const { uidBase } = host
  const uid = uidBase === null ? null : uidBase + plan.uidIndex
  const planReady = async (place: TemplatePlace) => {
    const kvmDevice = parts.accelerator === 'kvm' ? await makeKvmDevice(place.folder, uid) : null
    const own = { ...plan, id: place.id, env: sharedEnv(plan) }
    const memory = { kind: 'saving', file: draft.memoryFile } as const
    return [
      ...buildRecords(own, host, place, place.cgroup),
      ...buildMachineRecords(own, host, { ...parts, kvmDevice }, memory),
    ]
  }
  const stand = async (place: TemplatePlace): Promise<Disposable> => {
    await untilReady(`${place.socket}.c`, declaredPorts(plan), signal)
    const still = await standStill(`${place.socket}.c`)
    // Without it the start is merely told less of.
    await copyLog(place.folder, folder, uid).catch(() => {})
    return still
  }
  const { hypervisor } = parts
  return await startTemplateMachine(templateHost, draft, {
    limits,
    hypervisor,
    plan: planReady,
    stand,
  })
}

/** Without the variable that would be wrong in all instances but one. */
function sharedEnv({ env }: InstancePlan): InstancePlan['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name !== INSTANCE_VARIABLE))
}

/** What stands still prints no more. */
async function copyLog(from: string, to: string, uid: number | null): Promise<void> {
  const [source, target] = [path.join(from, 'out'), path.join(to, 'out')]
  await mkdir(target, { mode: 0o700 })
  for (const name of await readdir(source)) {
    if (!/^log(\.1)?$/.test(name)) continue
    const file = path.join(target, name)
    await copyFile(path.join(source, name), file)
    if (uid !== null) await chown(file, uid, uid)
  }
}
