/** What isolation "microvm" takes: programs, and a kernel that this machine builds. A node works without any of it. */

import { access, constants } from 'node:fs/promises'

import type { HealthView } from '../../api/resources.ts'
import type { Kernel } from '../../kernel/kernels.ts'
import type { Requirement } from '../../kernel/requirements.ts'
import type { CliContext } from '../context.ts'

import { finding, packages } from './finding.ts'
import type { Finding } from './finding.ts'

const FEATURE = 'microVMs'
const COST =
  'some 140 MB of packages for the source, 2 GiB of disk while it is built, and about 3 minutes'

const PROGRAMS = [
  {
    feature: 'QEMU, for microVMs',
    path: '/usr/bin/qemu-system-x86_64',
    package: 'qemu-system-x86',
    remedy: 'It is the machine that they run in.',
  },
  {
    feature: 'EROFS tools, for microVMs',
    path: '/usr/bin/mkfs.erofs',
    package: 'erofs-utils',
    remedy: 'Their disks are made with it.',
  },
] as const

/**
 * @param isWanted  false: one finding that says what it would take, and nothing to fix: few tasks need it, and it takes long
 */
export async function checkMicrovm(
  context: CliContext,
  isWanted: boolean,
): Promise<readonly Finding[]> {
  if (process.arch !== 'x64') return []
  const [programs, kernel] = await Promise.all([checkPrograms(), checkKernelOf(context)])
  const all = [...programs, kernel]
  if (isWanted || all.every(({ isPresent }) => isPresent)) return all
  const missing = all.filter(({ isPresent }) => !isPresent).map(({ feature }) => feature)
  const remedy =
    `Without ${missing.join(' and ').replaceAll(', for microVMs', '')} no task has isolation "microvm". ` +
    `Run "quiver doctor --fix --microvm": it takes ${COST}.`
  return [finding(FEATURE, false, { isRequired: false, remedy })]
}

/** What only a node finds out, by starting a machine: whether the processor runs them. Nothing when none was started yet. */
export function describeProcessor({ backends }: Pick<HealthView, 'backends'>): readonly Finding[] {
  const kvm = backends
    .filter(({ isolation }) => isolation === 'microvm')
    .flatMap(({ findings }) => findings)
    .find(({ feature }) => feature === 'KVM')
  if (kvm === undefined) return []
  const remedy = kvm.remedy ?? ''
  return [finding('KVM, for microVMs', kvm.isPresent, { isRequired: false, remedy })]
}

async function checkPrograms(): Promise<readonly Finding[]> {
  const findings = PROGRAMS.map(async ({ feature, path, remedy, package: from }) => {
    const isPresent = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    return finding(feature, isPresent, {
      isRequired: false,
      detail: path,
      remedy,
      fix: packages(from),
    })
  })
  return await Promise.all(findings)
}

async function checkKernelOf({ process: { env } }: CliContext): Promise<Finding> {
  // Loaded here: few commands need what reads kernels.
  const [{ findKernel }, { findMissing }] = await Promise.all([
    import('../../kernel/kernels.ts'),
    import('../../kernel/requirements.ts'),
  ])
  const [kernel, missing] = await Promise.all([
    findKernel(env, process.getuid?.() ?? 0),
    findMissing(null),
  ])
  return describeKernel(kernel, missing)
}

function describeKernel(kernel: Kernel | undefined, missing: readonly Requirement[]): Finding {
  const isOlder = kernel !== undefined && !kernel.isCurrent
  return finding('a kernel, for microVMs', kernel !== undefined && !isOlder, {
    isRequired: false,
    detail: kernel === undefined ? '' : `${kernel.release}, ${kernel.path}`,
    remedy: isOlder
      ? `${kernel.release} was built by an earlier version of Quiver, and may lack what this one expects. Building one takes ${COST}.`
      : `Their tasks run on it. Building one takes ${COST}.`,
    fix: { kind: 'kernel', packages: missing.map((one) => one.package) },
  })
}
