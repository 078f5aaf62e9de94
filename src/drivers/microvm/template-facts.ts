/** What a template depends on. Where any of it is another, the template is another: none is ever loaded into a machine that differs. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

import { canonicalJson, digestOf, hexOf } from '../../core/digest.ts'

import type { Hypervisor, MachinePlan } from './machine.ts'

export interface TemplateFacts {
  /** `boot`: the kernel has started and nothing else; `ready`: a program is ready, of the revision that `program` names. */
  readonly kind: 'boot' | 'ready'
  readonly program: string
  readonly hypervisor: string
  /** All arguments but those that are files of the one machine. */
  readonly arguments: readonly string[]
  /** Digests of the files that were booted. */
  readonly kernel: string
  readonly initramfs: string
  /** Of the host, where the guest has the same; else empty. */
  readonly processor: string
}

/**
 * Reads the files: tens of milliseconds, once for each machine that is started. Cache it.
 *
 * @param plan     of the machine that is saved; kernel and initramfs as the hypervisor sees them
 * @param booted   the same two files, as this process sees them
 * @param program  what runs in it, for a template of kind `ready`; null: nothing yet
 */
export async function readTemplateFacts(
  hypervisor: Hypervisor,
  plan: MachinePlan,
  booted: { readonly kernel: string; readonly initramfs: string },
  program: string | null,
): Promise<TemplateFacts> {
  const [kernel, initramfs, processor] = await Promise.all([
    digestOfFile(booted.kernel),
    digestOfFile(booted.initramfs),
    plan.accelerator === 'kvm' ? readProcessor() : '',
  ])
  const neutral = { ...plan, channel: 0, control: 0, start: 'boot', memory: NO_FILE } as const
  return {
    kind: program === null ? 'boot' : 'ready',
    program: program ?? '',
    hypervisor: `${hypervisor.name} ${hypervisor.version}`,
    arguments: hypervisor.argv(neutral),
    kernel,
    initramfs,
    processor,
  }
}

const NO_FILE = { kind: 'anonymous' } as const

/** 64 hexadecimal digits. */
export function templateKey(facts: TemplateFacts): string {
  return hexOf(digestOf(canonicalJson(facts)))
}

/** What a guest under KVM may have seen: another model, another microcode, other flags. */
async function readProcessor(): Promise<string> {
  const [first = ''] = (await readFile('/proc/cpuinfo', 'utf8')).split('\n\n')
  const lines = first
    .split('\n')
    .filter((line) => /^(vendor_id|model|stepping|microcode|flags|bugs)/.test(line))
  return digestOf(lines.join('\n'))
}

/** Digests by path, size and time: a kernel is read once. */
const digests = new Map<string, Promise<string>>()
const DIGESTS_MAX = 64

async function digestOfFile(file: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(file)
  const key = `${file} ${size} ${mtimeMs} ${ino}`
  const known = digests.get(key)
  if (known !== undefined) return await known
  if (digests.size >= DIGESTS_MAX) digests.clear()
  const reading = hashFile(file)
  digests.set(key, reading)
  reading.catch(() => digests.delete(key))
  return await reading
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash)
  return hash.digest('hex')
}
