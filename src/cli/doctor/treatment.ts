/** `quiver doctor --fix`: says what it does, and does it. */

import { access } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'
import type { CliContext } from '../context.ts'
import { say } from '../print.ts'
import { runLoudly } from '../program.ts'

import type { Finding } from './finding.ts'
import { PACKAGE_ROOT } from './software.ts'

export interface Treatment {
  readonly packages: readonly string[]
  readonly isBuildNeeded: boolean
  readonly isKernelNeeded: boolean
}

/** What would cure `findings`, in order; undefined when nothing can be done. */
export function planTreatment(findings: readonly Finding[]): Treatment | undefined {
  const fixes = findings.filter(({ isPresent }) => !isPresent).map(({ fix }) => fix)
  const names = fixes.flatMap((fix) => (fix === null || fix.kind === 'build' ? [] : fix.packages))
  const plan = {
    packages: [...new Set(names)].toSorted(),
    isBuildNeeded: fixes.some((fix) => fix?.kind === 'build'),
    isKernelNeeded: fixes.some((fix) => fix?.kind === 'kernel'),
  }
  const isEmpty = plan.packages.length === 0 && !plan.isBuildNeeded && !plan.isKernelNeeded
  return isEmpty ? undefined : plan
}

/**
 * @throws QuiverError `permission_denied/NOT_ROOT`, `unimplemented/NOT_DEBIAN`, `failed_precondition/FIX_FAILED`, and as
 *   `buildKernel` does
 */
export async function treat(context: CliContext, plan: Treatment): Promise<void> {
  const { packages, isBuildNeeded, isKernelNeeded } = plan
  if (packages.length > 0) await install(context, packages)
  if (isBuildNeeded) await execute(context, [path.join(PACKAGE_ROOT, 'scripts/build-native')])
  if (isKernelNeeded) {
    say(context, '> quiver kernel build')
    // By now there is what it lacked.
    const { buildLocalKernel, localKernels } = await import('../kernel.ts')
    await buildLocalKernel(context, { folder: localKernels(context, undefined), source: null })
  }
}

async function install(context: CliContext, packages: readonly string[]): Promise<void> {
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages]
  const isDebian = await access('/usr/bin/apt-get').then(
    () => true,
    () => false,
  )
  if (!isDebian) {
    throw new QuiverError('unimplemented', 'NOT_DEBIAN', 'this machine has no apt-get', {
      hint: `Install what corresponds to: ${packages.join(' ')}.`,
    })
  }
  if (process.getuid?.() !== 0) {
    throw new QuiverError('permission_denied', 'NOT_ROOT', 'only root installs packages', {
      hint: `Run: sudo apt-get update && sudo ${command.join(' ')}`,
    })
  }
  // Stale lists are often enough; whether they were is seen by the next command.
  await execute(context, ['apt-get', 'update']).catch((thrown: unknown) => {
    say(context, QuiverError.from(thrown).message)
  })
  await execute(context, command)
}

/** All output goes to stderr: stdout is for findings. */
async function execute(context: CliContext, argv: readonly string[]): Promise<void> {
  const text = argv.join(' ')
  say(context, `> ${text}`)
  const [program = '', ...args] = argv
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const status = await runLoudly(context, program, args, { env })
  if (status === 0) return
  throw new QuiverError('failed_precondition', 'FIX_FAILED', `"${text}" ended with ${status}`, {
    hint: 'Read what it said above.',
  })
}
