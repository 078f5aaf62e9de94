/** What machines are made with on this host: each part is found, or made, when it is first needed, and then kept. */

import { stat } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf, QuiverError } from '../../core/error.ts'
import type { ProbeFinding } from '../driver.ts'

import { findAccelerator, type AcceleratorFacts, type AcceleratorHost } from './accelerator.ts'
import { Disks } from './disks.ts'
import { installInitramfs } from './initramfs.ts'
import type { Hypervisor } from './machine.ts'
import { QEMU_PROGRAM } from './qemu/argv.ts'
import { createQemu } from './qemu/index.ts'

export interface MachineryParts {
  /** A folder that holds QEMU with all it needs; `version` changes with every file of it. @throws QuiverError */
  readonly hypervisorTree: () => Promise<{ readonly path: string; readonly version: string }>
  /** The kernel of guests, an absolute path; undefined: none was built. */
  readonly findKernel: () => Promise<string | undefined>
  /** Of the host, and of guests: a static program. */
  readonly ainitPath: string
  /** native/build/first-process: a guest that tries the processor. */
  readonly firstProcess: string
  readonly bwrapPath: string
  /** One of those that hypervisors run as; null: whoever this process is. */
  readonly uid: number | null
  /** Where the first file system of guests is kept, and what was found out about this host; every user can pass it. */
  readonly folder: string
  readonly disksFolder: string
  /** Of the node: its folders are named by their digests. */
  readonly treesFolder: string
}

export interface HypervisorFound extends AcceleratorFacts {
  readonly hypervisor: Hypervisor
  /** A folder that has it with all it needs, and an empty `/machine`. */
  readonly tree: string
}

export class Machinery {
  readonly #parts: MachineryParts
  #disks: Promise<Disks> | undefined
  #initramfs: Promise<string> | undefined
  #facts: Promise<AcceleratorFacts> | undefined

  constructor(parts: MachineryParts) {
    this.#parts = parts
  }

  /** @throws QuiverError with what is not installed, and how to get it; as `kernel` does */
  async hypervisor(): Promise<HypervisorFound> {
    const [{ path: tree, version }, kernel] = await Promise.all([
      this.#parts.hypervisorTree(),
      this.kernel(),
    ])
    const hypervisor = createQemu(version)
    this.#facts ??= this.#tryProcessor({ hypervisor, tree, kernel })
    const facts = await orForget(this.#facts, () => (this.#facts = undefined))
    return { ...facts, hypervisor, tree }
  }

  /** An absolute path. @throws QuiverError `failed_precondition/KERNEL_MISSING` */
  async kernel(): Promise<string> {
    const kernel = await this.#parts.findKernel()
    if (kernel !== undefined) return kernel
    const message = 'this machine has no kernel for microVMs'
    throw new QuiverError('failed_precondition', 'KERNEL_MISSING', message, {
      hint: 'Build one with "quiver kernel build", or choose isolation "sandbox".',
    })
  }

  /** An absolute path. @throws QuiverError `resource_exhausted/DISK_FULL` */
  async initramfs(): Promise<string> {
    const { folder, ainitPath } = this.#parts
    this.#initramfs ??= installInitramfs(folder, ainitPath)
    return await orForget(this.#initramfs, () => (this.#initramfs = undefined))
  }

  /**
   * The disk that has a tree's files: an absolute path.
   *
   * @throws QuiverError `failed_precondition/START_FAILED` for a tree that is not there; as `Disks.file` does
   */
  async disk(tree: string, signal: AbortSignal): Promise<string> {
    await assertThere(tree)
    const { disksFolder, treesFolder } = this.#parts
    this.#disks ??= Disks.open(disksFolder, treesFolder)
    const disks = await orForget(this.#disks, () => (this.#disks = undefined))
    return await disks.file(tree, signal)
  }

  /** What of all this is there. Whether the processor runs guests is told once a machine was to be started. */
  async probe(): Promise<readonly ProbeFinding[]> {
    const findings = [
      await findingOf('QEMU', () => assertInstalled(), ['qemu-system-x86']),
      await findingOf('a kernel for microVMs', () => this.kernel()),
    ]
    if (this.#facts === undefined) return findings
    const { why } = await this.#facts.catch((thrown: unknown) => ({ why: String(thrown) }))
    const remedy = `Without it machines are emulated, slower by an order of magnitude: ${why}.`
    const kvm = { feature: 'KVM', present: why === null, isRequired: false }
    return [...findings, why === null ? kvm : { ...kvm, remedy }]
  }

  async #tryProcessor(
    found: Pick<AcceleratorHost, 'hypervisor' | 'tree' | 'kernel'>,
  ): Promise<AcceleratorFacts> {
    const { firstProcess, bwrapPath, uid, folder } = this.#parts
    const cacheFile = path.join(folder, 'accelerator.json')
    return await findAccelerator({ ...found, firstProcess, bwrapPath, uid, folder, cacheFile })
  }
}

/** What failed is tried again by whoever asks next. */
async function orForget<T>(made: Promise<T>, forget: () => void): Promise<T> {
  try {
    return await made
  } catch (thrown) {
    forget()
    throw thrown
  }
}

/** Its tree, with its libraries, is made when a machine is first started. */
async function assertInstalled(): Promise<void> {
  try {
    await stat(QEMU_PROGRAM)
  } catch (cause) {
    const message = `there is no ${QEMU_PROGRAM}, which runs microVMs`
    throw new QuiverError('not_found', 'HOST_FILE_MISSING', message, { cause })
  }
}

async function assertThere(tree: string): Promise<void> {
  try {
    await stat(tree)
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw thrown
    const message = `the files of ${tree} are not there`
    throw new QuiverError('failed_precondition', 'START_FAILED', message, {
      cause: thrown,
      hint: 'Deploy again: what is missing is made anew.',
    })
  }
}

async function findingOf(
  feature: string,
  find: () => Promise<unknown>,
  packages?: readonly string[],
): Promise<ProbeFinding> {
  try {
    await find()
    return { feature, present: true, isRequired: true }
  } catch (thrown) {
    const { message, hint } = QuiverError.from(thrown)
    const remedy = `${message}.${hint === undefined ? '' : ` ${hint}`}`
    return {
      feature,
      present: false,
      isRequired: true,
      remedy,
      ...(packages === undefined ? {} : { packages }),
    }
  }
}
