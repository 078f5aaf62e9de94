/**
 * Whether the processor runs guests: found out by starting one, since a device that opens proves nothing (nested virtualisation
 * may let a guest begin, and then hang). Found once for each boot of the host, and kept in a file.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { errnoOf } from '../../core/error.ts'
import { bind } from '../process.ts'

import { buildCommandLine } from './command-line.ts'
import { buildInitramfs } from './initramfs.ts'
import { KVM_DEVICE, makeKvmDevice } from './kvm-device.ts'
import type { Accelerator, Hypervisor } from './machine.ts'
import { measureTicksPerMs } from './ticks.ts'

/** A guest that works says so within a tenth of it, also on a busy host. */
const PROBE_TIMEOUT_MS = 5000
const MEMORY_BYTES = 64 * 1024 * 1024
const SAID_BYTES_MAX = 64 * 1024
/** What native/vmm/first-process.c prints. */
const WORKS = 'quiver: the machine works'
/** Readings differ by less, and another number would make every template anew. */
const TICKS_TOLERANCE = 1e-4

export interface AcceleratorFacts {
  readonly accelerator: Accelerator
  /** Why it is not KVM, one phrase; null when it is. */
  readonly why: string | null
  /** Of the host's time stamp counter; null where it has none, or none that is steady. */
  readonly ticksPerMs: number | null
}

export interface AcceleratorHost {
  readonly hypervisor: Hypervisor
  /** Folder that is the hypervisor's root, with an empty `/machine`. */
  readonly tree: string
  readonly kernel: string
  /** native/build/first-process. */
  readonly firstProcess: string
  readonly bwrapPath: string
  /** Who hypervisors are on this host; null: whoever this process is. */
  readonly uid: number | null
  /** For files of the trial, passable by that user, on a file system that has devices. */
  readonly folder: string
  /** Where the answer is kept. */
  readonly cacheFile: string
  readonly timeoutMs?: number
}

interface Kept extends AcceleratorFacts {
  /** What the answer depends on. */
  readonly key: string
}

/** @param isFresh  try again, whatever is kept */
export async function findAccelerator(
  host: AcceleratorHost,
  isFresh = false,
): Promise<AcceleratorFacts> {
  const key = await keyOf(host)
  const kept = await readKept(host.cacheFile)
  if (kept?.key === key && !isFresh) return kept
  const ticksPerMs = settle(await measureTicksPerMs(), kept?.ticksPerMs ?? null)
  const why = await whyNotKvm(host)
  const facts = { accelerator: why === null ? 'kvm' : 'emulation', why, ticksPerMs } as const
  await keep(host.cacheFile, { ...facts, key })
  return facts
}

async function whyNotKvm(host: AcceleratorHost): Promise<string | null> {
  const folder = await mkdtemp(path.join(host.folder, 'probe-'))
  try {
    await chmod(folder, 0o711)
    const device = await makeKvmDevice(folder, host.uid)
    const initramfs = path.join(folder, 'initramfs')
    await writeFile(initramfs, buildInitramfs(await readFile(host.firstProcess)), { mode: 0o444 })
    return await tryGuest(host, device, initramfs)
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return `this machine has no ${KVM_DEVICE}`
    return thrown instanceof Error ? thrown.message : String(thrown)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function tryGuest(
  host: AcceleratorHost,
  device: string,
  initramfs: string,
): Promise<string | null> {
  const { timeoutMs = PROBE_TIMEOUT_MS, uid } = host
  const [program = '', ...args] = buildCommand(host, device, initramfs)
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
    ...(uid === null ? {} : { uid, gid: uid }),
  })
  const failed = once(child, 'error').then(([cause]) => String(cause))
  const ended = once(child, 'close').then(() => undefined)
  let said = ''
  const works = Promise.withResolvers<null>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString('latin1')).slice(-SAID_BYTES_MAX)
      if (said.includes(WORKS)) works.resolve(null)
    })
  }
  const timer = new AbortController()
  const late = delay(timeoutMs, `a guest said nothing for ${timeoutMs / 1000} s`, {
    signal: timer.signal,
  }).catch(() => '')
  try {
    const end = ended.then(() => `its guest ended: ${lastLine(said)}`)
    return await Promise.race([works.promise, failed, end, late])
  } finally {
    timer.abort()
    child.kill('SIGKILL')
    await Promise.race([ended, failed])
  }
}

/** As machines are enclosed, without a channel. */
function buildCommand(
  { bwrapPath, hypervisor, tree, kernel }: AcceleratorHost,
  device: string,
  initramfs: string,
): readonly string[] {
  const [kernelInside, initramfsInside] = ['/machine/kernel', '/machine/initramfs']
  const argv = hypervisor.argv({
    accelerator: 'kvm',
    cpus: 1,
    memoryBytes: MEMORY_BYTES,
    memory: { kind: 'anonymous' },
    kernel: kernelInside,
    initramfs: initramfsInside,
    commandLine: buildCommandLine('kvm', null),
    disks: [],
    channel: null,
    control: null,
    start: 'boot',
  })
  return [
    bwrapPath,
    ...'--unshare-all --die-with-parent --as-pid-1'.split(' '),
    ...bind(tree, '/'),
    ...'--proc /proc --dev /dev --tmpfs /machine'.split(' '),
    '--dev-bind',
    device,
    KVM_DEVICE,
    ...bind(kernel, kernelInside),
    ...bind(initramfs, initramfsInside),
    '--',
    ...argv,
  ]
}

function lastLine(said: string): string {
  return said.trim().split('\n').at(-1)?.trim().slice(0, 300) ?? ''
}

/** The number of an earlier boot, as long as it is right. */
function settle(measured: number | null, earlier: number | null): number | null {
  if (measured === null || earlier === null) return measured
  return Math.abs(measured - earlier) <= earlier * TICKS_TOLERANCE ? earlier : measured
}

async function keyOf({ hypervisor, kernel, uid }: AcceleratorHost): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  const { size, mtimeMs } = await stat(kernel)
  return [boot.trim(), hypervisor.version, kernel, size, mtimeMs, uid].join(' ')
}

async function readKept(file: string): Promise<Kept | undefined> {
  try {
    const kept: Kept = JSON.parse(await readFile(file, 'utf8'))
    return kept
  } catch {
    return undefined
  }
}

/** Without it the next start tries again. */
async function keep(file: string, kept: Kept): Promise<void> {
  try {
    await writeFile(`${file}.${process.pid}`, JSON.stringify(kept), { mode: 0o600 })
    await rename(`${file}.${process.pid}`, file)
  } catch {
    await rm(`${file}.${process.pid}`, { force: true })
  }
}
