/** From an instance plan to what `ainit launch` is told of its machine: bwrap's arguments, the hypervisor's, the guest's. */

import type { InstancePlan, RevisionPlan } from '../driver.ts'
import {
  bind,
  buildHosts,
  each,
  ETC_FILES,
  flag,
  optional,
  resolvConfOf,
  tmpfs,
  UID_INSIDE,
  type ProcessHost,
  type Records,
} from '../process.ts'

import { buildCommandLine } from './command-line.ts'
import { KVM_DEVICE } from './kvm-device.ts'
import type { MachineMemory, MachinePlan } from './machine.ts'
import type { HypervisorFound } from './machinery.ts'

/** What a machine is made of, where the host has it. */
export interface MachineParts extends HypervisorFound {
  readonly kernel: string
  readonly initramfs: string
  /** Of the binary and of the image, in this order. */
  readonly disks: readonly string[]
  /** The instance's own node of KVM; null: it is emulated. */
  readonly kvmDevice: string | null
}

/** Where the hypervisor finds the machine's files. */
const MACHINE = '/machine'
const KERNEL = `${MACHINE}/kernel`
const INITRAMFS = `${MACHINE}/initramfs`
const MEMORY = `${MACHINE}/memory`
/** Host name around a machine that is saved. */
const TEMPLATE = 'template'
/** Where it finds what `ainit vm` opens for it: see docs/internals/microvm.md. */
const CHANNEL_FD = 3
const CONTROL_FD = 4
/**
 * How far back the clock of a machine is that is saved with a program in it: an hour, after which OpenSSL seeds its generators anew,
 * and a minute that the host's clock may be set back.
 */
const CLOCK_BEHIND_S = 3660
const MOUNT_POINTS_BYTES = 1024 * 1024
const MIB = 1024 * 1024

/** @param memory  files as this process sees them: of the template that it is a clone of, or of the one that it becomes */
export function buildMachineRecords(
  plan: InstancePlan,
  host: ProcessHost,
  parts: MachineParts,
  memory: MachineMemory,
): Records {
  const { limits, isWritable } = plan.spec
  const machine = { ...planMachine(plan, parts), ...placeMemory(memory) }
  return [
    ...buildHypervisorRecords(plan.task, machine, host, parts, mountMemory(memory)),
    ...flag('wait_resume', memory.kind === 'saved'),
    ...optional('clock_behind_s', memory.kind === 'saving' ? String(CLOCK_BEHIND_S) : null),
    ['hostname', plan.task],
    ['hosts', buildHosts(plan)],
    ['resolv', ETC_FILES[resolvConfOf(plan)]],
    ['passwd', ETC_FILES.passwd],
    ['group', ETC_FILES.group],
    ['uid_inside', UID_INSIDE],
    ['gid_inside', UID_INSIDE],
    ['tmp_bytes', String(limits.tmpBytes)],
    ['pids', String(limits.pids)],
    ['core_bytes', String(limits.coreBytes ?? 0)],
    ['mount', 'erofs:/dev/vda:/'],
    ['mount', `erofs:/dev/vdb:${isWritable ? '/.image' : '/app'}`],
    ...(isWritable ? [['mount', `tmpfs:${limits.tmpBytes}:/app`] as const] : []),
  ]
}

/** A machine that is to be saved when it has booted, its memory in this file. */
export function buildTemplateRecords(
  machine: MachinePlan,
  host: ProcessHost,
  parts: MachineParts,
  memoryFile: string,
): Records {
  const memory = { kind: 'saving', file: memoryFile } as const
  const saving = { ...machine, ...placeMemory(memory) }
  return [
    ...buildHypervisorRecords(TEMPLATE, saving, host, parts, mountMemory(memory)),
    ['template', 'boot'],
    // Nothing of it is ever run.
    ['program', '/'],
    ['arg', '/'],
  ]
}

/** Where the hypervisor sees its memory, and whether it waits for the state that belongs to it. */
function placeMemory(memory: MachineMemory): Pick<MachinePlan, 'memory' | 'start'> {
  if (memory.kind === 'anonymous') return { memory, start: 'boot' }
  const start = memory.kind === 'saved' ? 'load' : 'boot'
  return { memory: { kind: memory.kind, file: MEMORY }, start }
}

function mountMemory(memory: MachineMemory): readonly string[] {
  if (memory.kind === 'anonymous') return []
  return memory.kind === 'saved' ? bind(memory.file, MEMORY) : ['--bind', memory.file, MEMORY]
}

function buildHypervisorRecords(
  name: string,
  machine: MachinePlan,
  host: ProcessHost,
  parts: MachineParts,
  mounts: readonly string[],
): Records {
  const argv = parts.hypervisor.argv(machine)
  const [program = ''] = argv
  return [
    ...each('bwrap', buildBwrapArgv(name, host, parts, mounts)),
    // The machine reaches nothing but through its channel.
    ['netns', '1'],
    ['vmm', '1'],
    ['vmm_program', program],
    ...each('vmm_arg', argv),
  ]
}

/** Memory that the guest gets: whole megabytes, as a hypervisor wants it. */
export function guestMemoryBytes({ spec }: RevisionPlan): number {
  return Math.ceil(spec.limits.memoryBytes / MIB) * MIB
}

/** The machine as it boots. */
export function planMachine(
  plan: RevisionPlan,
  parts: Omit<MachineParts, 'kvmDevice'>,
): MachinePlan {
  const { disks, accelerator } = parts
  return {
    accelerator,
    cpus: accelerator === 'emulation' ? 1 : cpusOf(plan),
    memoryBytes: guestMemoryBytes(plan),
    memory: { kind: 'anonymous' },
    kernel: KERNEL,
    initramfs: INITRAMFS,
    commandLine: buildCommandLine(accelerator, parts.ticksPerMs),
    disks: disks.map((_, index) => diskPath(index)),
    channel: CHANNEL_FD,
    control: CONTROL_FD,
    start: 'boot',
  }
}

/** As many as its share of the host's can fill. */
function cpusOf({ spec: { limits } }: RevisionPlan): number {
  return limits.cpuMillis === null ? 1 : Math.max(1, Math.ceil(limits.cpuMillis / 1000))
}

function diskPath(index: number): string {
  return `${MACHINE}/disk${index}`
}

function buildBwrapArgv(
  name: string,
  host: ProcessHost,
  { tree, kernel, initramfs, disks, kvmDevice }: MachineParts,
  mounts: readonly string[],
): readonly string[] {
  const unshared = ['user', 'pid', 'ipc', 'uts', 'cgroup-try']
  return [
    host.bwrapPath,
    ...unshared.map((namespace) => `--unshare-${namespace}`),
    ...`--uid ${UID_INSIDE} --gid ${UID_INSIDE} --hostname ${name} --as-pid-1`.split(' '),
    ...bind(tree, '/'),
    ...tmpfs(MACHINE, MOUNT_POINTS_BYTES),
    ...bind(kernel, KERNEL),
    ...bind(initramfs, INITRAMFS),
    ...disks.flatMap((file, index) => bind(file, diskPath(index))),
    ...mounts,
    ...`--remount-ro ${MACHINE} --proc /proc --dev /dev`.split(' '),
    ...(kvmDevice === null ? [] : ['--dev-bind', kvmDevice, KVM_DEVICE]),
    ...'--remount-ro /dev'.split(' '),
    ...bind(host.ainitPath, '/.ainit'),
    ...'--chdir / -- /.ainit vm'.split(' '),
  ]
}
