/** What a microVM has around its program: a machine with a kernel of its own, and the sandbox in which the hypervisor runs. */

import { QuiverError } from '../../core/error.ts'
import type { InstancePlan, Mount, ProbeReport, RevisionPlan } from '../driver.ts'
import {
  declaredPorts,
  probeCgroups,
  probeNamespaces,
  probeRest,
  type CgroupHierarchy,
  type Enclosure,
  type LaunchPlan,
  type Limits,
  type ProcessHost,
} from '../process.ts'

import type { Cloning } from './cloning.ts'
import { makeKvmDevice } from './kvm-device.ts'
import {
  buildMachineRecords,
  guestMemoryBytes,
  planMachine,
  type MachineParts,
} from './launch-plan.ts'
import type { Machinery } from './machinery.ts'
import type { Template } from './templates.ts'

const MIB = 1024 * 1024
/** A kernel, PID 1 and a small program. */
const MEMORY_BYTES_MIN = 32 * MIB
/** For the hypervisor itself, beside what the guest has: its code, its devices, the translations of an emulated guest. */
const HYPERVISOR_BYTES = 128 * MIB
/** From a start without a template to the making of one. */
const PROVIDE_LATER_MS = 5000
/** Threads of the hypervisor: those of the processors, and those that read disks. What limits.pids limits is inside. */
const HYPERVISOR_THREADS = 128

export interface MachineHost {
  readonly host: ProcessHost
  readonly machinery: Machinery
  readonly cloning: Cloning
}

export function encloseInMachine(machineHost: MachineHost): Enclosure {
  const { host, machinery } = machineHost
  return {
    isolation: 'microvm',
    memoryBytesMin: MEMORY_BYTES_MIN,
    phase: 'boot',
    isFrozenWhole: true,
    probe: (cgroups) => probeMachine(host, machinery, cgroups),
    check: (plan, mounts) => assertSupported(plan, mounts),
    provision: (plan, signal) => provision(plan, machineHost, signal),
    // What cannot be removed now goes the next time.
    prune: (exists) => void machineHost.cloning.prune(exists).catch(() => {}),
    limits: (plan) => limitsOf(plan),
    writeFiles: async () => {},
    planLaunch: (plan, folder, signal) => planLaunch(plan, machineHost, folder, signal),
  }
}

async function planLaunch(
  plan: InstancePlan,
  { host, machinery, cloning }: MachineHost,
  folder: string,
  signal: AbortSignal,
): Promise<LaunchPlan> {
  const found = await findParts(plan, machinery, signal)
  const uid = host.uidBase === null ? null : host.uidBase + plan.uidIndex
  const kvmDevice = found.accelerator === 'kvm' ? await makeKvmDevice(folder, uid) : null
  const parts = { ...found, kvmDevice }
  const boot = { machine: planMachine(plan, parts), parts }
  const launchAs = (phase: LaunchPlan['phase'], template: Template): LaunchPlan => ({
    records: buildMachineRecords(plan, host, parts, { kind: 'saved', file: template.memoryFile }),
    phase,
    begin: (prefix) => cloning.load(template, parts.hypervisor, `${prefix}.q`),
  })
  if (isRestorable(plan)) {
    const limits = limitsOf(plan)
    const ready = await cloning.ready({ ...boot, plan, folder, limits, signal })
    if (ready !== undefined) return launchAs('restore', ready)
  }
  const template = await cloning.find(boot)
  if (template !== undefined) return launchAs('clone', template)
  // Its kernel or hypervisor is another since it was deployed. Not now: this start is waited for.
  setTimeout(() => void cloning.provide(boot), PROVIDE_LATER_MS).unref()
  return { records: buildMachineRecords(plan, host, parts, { kind: 'anonymous' }), phase: 'boot' }
}

/** Whether it goes on from where another was ready: not what somebody sits in front of, nor what is somebody in particular. */
function isRestorable(plan: InstancePlan): boolean {
  const { spec, isRun, bridge, stdio } = plan
  if (spec.snapshot !== 'ready' || isRun || bridge !== undefined || stdio.isHeld) return false
  return declaredPorts(plan).length > 0
}

/** Disks, and a template, so that the first start is as fast as all others. */
async function provision(
  plan: RevisionPlan,
  { machinery, cloning }: MachineHost,
  signal: AbortSignal,
): Promise<void> {
  const parts = await findParts(plan, machinery, signal)
  await cloning.provide({ machine: planMachine(plan, parts), parts })
}

/** Builds disks that are not there yet. */
async function findParts(
  plan: RevisionPlan,
  machinery: Machinery,
  signal: AbortSignal,
): Promise<Omit<MachineParts, 'kvmDevice'>> {
  const [found, kernel, initramfs, ...disks] = await Promise.all([
    machinery.hypervisor(),
    machinery.kernel(),
    machinery.initramfs(),
    machinery.disk(plan.binaryTree, signal),
    machinery.disk(plan.imageTree, signal),
  ])
  return { ...found, kernel, initramfs, disks }
}

function limitsOf(plan: InstancePlan): Limits {
  return {
    memoryBytes: guestMemoryBytes(plan) + HYPERVISOR_BYTES,
    cpuMillis: plan.spec.limits.startCpuMillis,
    pids: HYPERVISOR_THREADS,
  }
}

function assertSupported({ task, spec }: RevisionPlan, [mount]: readonly Mount[]): void {
  if (spec.network === 'host') {
    throw unsupported(
      `${task} has network "host", and isolation "microvm" has a network of its own`,
      'Set network to "private" or "none", or isolation to "sandbox".',
    )
  }
  if (mount !== undefined) {
    throw unsupported(
      `${task} is to see ${mount.source}, and isolation "microvm" shares no folder with the host`,
      'Leave --dir out, or choose isolation "sandbox".',
    )
  }
}

async function probeMachine(
  host: ProcessHost,
  machinery: Machinery,
  cgroups: CgroupHierarchy,
): Promise<ProbeReport> {
  const [namespaces, machines] = await Promise.all([probeNamespaces(host), machinery.probe()])
  const findings = [namespaces, ...machines, ...probeCgroups(cgroups), ...probeRest(host)]
  return { usable: findings.every(({ present, isRequired }) => present || !isRequired), findings }
}

function unsupported(message: string, hint: string): QuiverError {
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, { hint })
}
