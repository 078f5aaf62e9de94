/**
 * Starts real virtual machines with the real `ainit` on both sides, in emulation, with a kernel of ours and BusyBox as all there is
 * in them. What the host's side does with any other monitor is tested with programs in its place.
 */

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'

import { buildInitramfs } from '../../src/drivers/microvm/initramfs.ts'

import { Instance, type Workshop } from './harness.ts'

type Records = readonly (readonly [key: string, value: string])[]

const QEMU = '/usr/bin/qemu-system-x86_64'
const POINTER = '/tmp/design/kernel-path.txt'
const KERNEL = process.env['QUIVER_TEST_KERNEL'] ?? readFileSync(POINTER, 'utf8').split('\n')[0] ?? ''

/** Why there can be no machine here; undefined: there can. */
export const withoutMachines: string | undefined = [
  QEMU,
  KERNEL,
  '/usr/bin/mkfs.erofs',
  '/bin/busybox',
].find((file) => !existsSync(file))

export interface MachineOptions {
  /** argv of the task; the first is also the program. */
  readonly args: readonly string[]
  /** Records beside the usual ones. */
  readonly records?: Records
  /** What runs in place of QEMU: absolute paths, and what they need is bound. */
  readonly monitor?: readonly string[]
  readonly folder?: string
}

export class MachineWorkshop {
  readonly #workshop: Workshop
  readonly #initramfs: string
  readonly #disk: string

  constructor(workshop: Workshop) {
    this.#workshop = workshop
    this.#initramfs = path.join(workshop.folder, 'initramfs')
    this.#disk = path.join(workshop.folder, 'disk')
    if (withoutMachines !== undefined) return
    writeFileSync(this.#initramfs, buildInitramfs(readFileSync(workshop.ainit)))
    this.#buildDisk()
  }

  start({ args, records = [], monitor, folder }: MachineOptions): Promise<Instance> {
    const argv = monitor ?? this.#qemu()
    return Instance.start(this.#workshop, {
      ...(folder === undefined ? {} : { folder }),
      args,
      command: 'vm',
      records: [
        ['vmm', '1'],
        ['vmm_program', argv[0] ?? ''],
        ...argv.map((word) => ['vmm_arg', word] as const),
        ['vmm_env', 'PATH=/usr/bin:/bin'],
        ['mount', 'erofs:/dev/vda:/'],
        ['tmp_bytes', '1048576'],
        ['hostname', 'inside'],
        ['hosts', '127.0.0.1 localhost inside\n'],
        ['passwd', 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n'],
        ...records,
      ],
      // The usual root has a /tmp of its own, where what the machine is made of is not.
      bwrap: ['--ro-bind', this.#workshop.folder, this.#workshop.folder],
    })
  }

  #qemu(): readonly string[] {
    const khz = /cpu MHz\s*: ([0-9.]+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '0'
    const append = [
      'console=ttyS0 quiet panic=-1 reboot=t no_timer_check lapic_timer_hz=1000000000',
      `tsc_early_khz=${Math.round(Number(khz) * 1000)}`,
    ].join(' ')
    return [
      ...`${QEMU} -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max -m 96`.split(' '),
      ...'-M microvm,acpi=off,pit=on,pic=off,rtc=on -chardev stdio,id=console,signal=off -serial chardev:console'.split(' '),
      ...`-kernel ${KERNEL} -initrd ${this.#initramfs}`.split(' '),
      ...['-append', append],
      ...`-drive if=none,id=disk0,format=raw,readonly=on,file=${this.#disk} -device virtio-blk-device,drive=disk0`.split(' '),
      ...'-chardev socket,id=channel,fd=3 -device virtio-serial-device,max_ports=2'.split(' '),
      ...'-device virtserialport,chardev=channel,name=quiver'.split(' '),
      ...'-chardev socket,id=control,fd=4,server=on,wait=off -mon chardev=control,mode=control'.split(' '),
    ]
  }

  /** BusyBox, and the folders that every tree has; not those that a machine makes itself. */
  #buildDisk(): void {
    const tree = path.join(this.#workshop.folder, 'tree')
    for (const folder of ['bin', 'etc', 'proc', 'usr/bin']) mkdirSync(path.join(tree, folder), { recursive: true })
    copyFileSync('/bin/busybox', path.join(tree, 'bin/busybox'))
    copyFileSync(this.#workshop.probe, path.join(tree, 'bin/probe'))
    chmodSync(path.join(tree, 'bin/busybox'), 0o755)
    const applets = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n')
    for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', path.join(tree, 'bin', name))
    execFileSync('/usr/bin/mkfs.erofs', ['--all-root', this.#disk, tree], { stdio: 'ignore' })
  }
}
