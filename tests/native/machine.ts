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
import { readTicks } from '../../src/fds/fds.ts'
import { findKernel } from '../../src/kernel/kernels.ts'

import { giveAway, Instance, type Workshop } from './harness.ts'

type Records = readonly (readonly [key: string, value: string])[]

const QEMU = '/usr/bin/qemu-system-x86_64'
const KERNEL = (await findKernel(process.env, process.getuid?.() ?? 0))?.path ?? 'a kernel'
const NEEDED = [QEMU, KERNEL, '/usr/bin/mkfs.erofs', '/bin/busybox']

/** For tests: why there can be no machine here, or false. */
export const withoutMachines: string | false = missing()

function missing(): string | false {
  const absent = NEEDED.find((file) => !existsSync(file))
  return absent === undefined ? false : `${absent} is missing`
}

/** What QEMU does with the kernel: starts it, or waits to be told what to load. */
export type Start = 'boot' | 'load'

export interface MachineOptions {
  /** argv of the task; the first is also the program. */
  readonly args: readonly string[]
  readonly start?: Start
  /** More for the kernel's command line. */
  readonly append?: string
  /** Records beside the usual ones. */
  readonly records?: Records
  /** What runs in place of QEMU: absolute paths, and what they need is bound. */
  readonly monitor?: readonly string[]
  readonly folder?: string
}

export class MachineWorkshop {
  readonly #workshop: Workshop
  /** A folder that machines may write to, by the same path. */
  readonly scratch: string
  readonly #initramfs: string
  readonly #disk: string

  constructor(workshop: Workshop) {
    this.#workshop = workshop
    this.#initramfs = path.join(workshop.folder, 'initramfs')
    this.#disk = path.join(workshop.folder, 'disk')
    this.scratch = path.join(workshop.folder, 'scratch')
    mkdirSync(this.scratch)
    giveAway(this.scratch)
    if (withoutMachines !== false) return
    writeFileSync(this.#initramfs, buildInitramfs(readFileSync(workshop.ainit)))
    this.#buildDisk()
  }

  start(options: MachineOptions): Promise<Instance> {
    const { args, records = [], monitor, folder } = options
    const argv = monitor ?? this.#qemu(options)
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
      bwrap: [
        ...split(`--ro-bind ${this.#workshop.folder} ${this.#workshop.folder}`),
        ...split(`--bind ${this.scratch} ${this.scratch}`),
      ],
    })
  }

  #qemu({ start = 'boot', append = '' }: MachineOptions): readonly string[] {
    const words = [
      'console=ttyS0 quiet panic=-1 reboot=t no_timer_check lapic_timer_hz=1000000000',
      `tsc_early_khz=${ticksPerMs()} ${append}`,
    ]
    const kernel = ['-kernel', KERNEL, '-initrd', this.#initramfs, '-append', words.join(' ')]
    return [
      QEMU,
      ...split('-nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max -m 96'),
      ...split('-M microvm,acpi=off,pit=on,pic=off,rtc=on'),
      ...split('-chardev stdio,id=console,signal=off -serial chardev:console'),
      ...(start === 'boot' ? kernel : ['-incoming', 'defer']),
      ...split(`-blockdev driver=file,node-name=disk0,read-only=on,filename=${this.#disk}`),
      ...split('-device virtio-blk-device,drive=disk0'),
      ...split('-chardev socket,id=channel,fd=3 -device virtio-serial-device,max_ports=2'),
      ...split('-device virtserialport,chardev=channel,name=quiver'),
      ...split(
        '-chardev socket,id=control,fd=4,server=on,wait=off -mon chardev=control,mode=control',
      ),
    ]
  }

  /** BusyBox, and the folders that every tree has; not those that a machine makes itself. */
  #buildDisk(): void {
    const tree = path.join(this.#workshop.folder, 'tree')
    for (const folder of ['bin', 'etc', 'proc', 'usr/bin'])
      mkdirSync(path.join(tree, folder), { recursive: true })
    copyFileSync('/bin/busybox', path.join(tree, 'bin/busybox'))
    copyFileSync(this.#workshop.probe, path.join(tree, 'bin/probe'))
    chmodSync(path.join(tree, 'bin/busybox'), 0o755)
    const applets = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' })
      .trim()
      .split('\n')
    for (const name of applets)
      if (name !== 'busybox') symlinkSync('busybox', path.join(tree, 'bin', name))
    execFileSync('/usr/bin/mkfs.erofs', ['--all-root', this.#disk, tree], { stdio: 'ignore' })
  }
}

function split(text: string): readonly string[] {
  return text.split(' ')
}

/** Of the time stamp counter, over a moment; an emulated machine has the host's. */
function ticksPerMs(): number {
  const from = readTicks()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
  const to = readTicks()
  if (from === undefined || to === undefined) return 0
  return Number(((to[0] - from[0]) * 1_000_000n) / (to[1] - from[1]))
}
