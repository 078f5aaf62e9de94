/**
 * The command line of a QEMU machine: `microvm`, booted from its kernel, with virtio-mmio devices and nothing else. No PCI, no
 * ACPI, no default device, no monitor for people, no reboot.
 *
 * All of it is part of what a template is: another command line makes another template. Pure.
 */

import type { MachinePlan } from '../machine.ts'

export const QEMU_PROGRAM = '/usr/bin/qemu-system-x86_64'

/**
 * The translations of an emulated guest, in MiB: private to each machine, and an idle one keeps what it has. When they are full all
 * are forgotten and made anew, and a program that does not fit crawls (docs/internals/microvm.md has what was measured).
 */
const TRANSLATIONS_MIB_MIN = 32
const TRANSLATIONS_MIB_MAX = 96
const MIB = 1024 * 1024

/** No device that is old, no change of user, no other program, no priorities. */
const ENCLOSURE = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

type Option = readonly [name: string, value?: string]

export function buildArgv(plan: MachinePlan): readonly string[] {
  const options: readonly Option[] = [
    ['nodefaults'],
    ['no-user-config'],
    ['no-reboot'],
    ['display', 'none'],
    ['sandbox', ENCLOSURE],
    ['machine', buildMachine()],
    ...buildProcessor(plan),
    ...buildMemory(plan),
    ...buildStart(plan),
    // The console goes to the standard output; what comes in is nobody's.
    ['chardev', 'stdio,id=console,signal=off'],
    ['serial', 'chardev:console'],
    ['global', 'virtio-mmio.force-legacy=false'],
    ...plan.disks.flatMap((file, index) => buildDisk(file, index)),
    ...buildChannel(plan.channel),
    ['object', 'rng-builtin,id=entropy'],
    ['device', 'virtio-rng-device,rng=entropy'],
    ['device', 'virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on'],
    ...buildControl(plan.control),
  ]
  const words = options.flatMap(([name, ...value]) => [`-${name}`, ...value])
  return [QEMU_PROGRAM, ...words.filter((word) => word !== undefined)]
}

/** `rtc` and `pit` stay: without the one the kernel waits a second for it, without the other it cannot tell its speed. */
function buildMachine(): string {
  const absent = ['acpi', 'pcie', 'usb', 'pic', 'ioapic2', 'graphics', 'x-option-roms']
  return [
    'microvm',
    ...absent.map((feature) => `${feature}=off`),
    'memory-backend=memory',
    'dump-guest-core=off',
    'mem-merge=off',
  ].join(',')
}

function buildProcessor({ accelerator, cpus, memoryBytes }: MachinePlan): readonly Option[] {
  const wantedMib = Math.floor(memoryBytes / MIB / 2)
  const translationsMib = Math.min(TRANSLATIONS_MIB_MAX, Math.max(TRANSLATIONS_MIB_MIN, wantedMib))
  const [accel, cpu] =
    accelerator === 'kvm'
      ? ['kvm', 'host,migratable=on']
      : [`tcg,thread=single,tb-size=${translationsMib}`, 'max']
  return [
    ['accel', accel],
    ['cpu', cpu],
    ['smp', String(cpus)],
  ]
}

function buildMemory({ memory, memoryBytes }: MachinePlan): readonly Option[] {
  return [
    ['m', `${memoryBytes / 1024}K`],
    ['object', buildBackend(memory, `id=memory,size=${memoryBytes}`)],
  ]
}

function buildBackend(memory: MachinePlan['memory'], facts: string): string {
  if (memory.kind === 'anonymous') return `memory-backend-ram,${facts}`
  const share = memory.kind === 'saving' ? 'on' : 'off'
  return `memory-backend-file,${facts},share=${share},mem-path=${escape(memory.file)}`
}

/** A machine that is loaded has its kernel in its memory. */
function buildStart({ start, kernel, initramfs, commandLine }: MachinePlan): readonly Option[] {
  if (start === 'load') return [['incoming', 'defer']]
  return [
    ['kernel', kernel],
    ['initrd', initramfs],
    ['append', commandLine],
  ]
}

function buildDisk(file: string, index: number): readonly Option[] {
  const name = `disk${index}`
  const facts = `node-name=${name},read-only=on,locking=off,filename=${escape(file)}`
  return [
    ['blockdev', `driver=file,${facts}`],
    ['device', `virtio-blk-device,drive=${name},serial=${name}`],
  ]
}

function buildChannel(fd: number | null): readonly Option[] {
  if (fd === null) return []
  return [
    ['chardev', `socket,id=channel,fd=${fd}`],
    ['device', 'virtio-serial-device,max_ports=2'],
    ['device', 'virtserialport,chardev=channel,name=quiver'],
  ]
}

function buildControl(control: number | string | null): readonly Option[] {
  if (control === null) return []
  const listener = typeof control === 'number' ? `fd=${control}` : `path=${escape(control)}`
  return [
    ['chardev', `socket,id=control,${listener},server=on,wait=off`],
    ['mon', 'chardev=control,mode=control'],
  ]
}

/** A comma ends a value of QEMU's, unless there are two. */
function escape(value: string): string {
  return value.replaceAll(',', ',,')
}
