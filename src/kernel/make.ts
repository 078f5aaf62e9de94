/** From the archive of Linux's source to a kernel: unpacks, patches, configures, compiles. Where it is kept is not known here. */

import { mkdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'

import { QuiverError } from '../core/error.ts'

import { FRAGMENT, linesNotKept, listPatches } from './recipe.ts'
import { run, type BuildLog } from './run.ts'

export interface Job {
  readonly archive: string
  /** An empty folder, the caller's to remove. */
  readonly work: string
  readonly log: BuildLog
  readonly signal: AbortSignal
  readonly onStage: (stage: 'unpack' | 'configure' | 'compile', files: number) => void
}

export interface Made {
  readonly release: string
  /** Files. */
  readonly vmlinux: string
  readonly image: string
  readonly config: string
  readonly symbols: string
}

/** What no machine that runs here has, and the kernel's build does not look for. */
const LEFT_OUT = ['drivers/gpu/drm/amd/include', 'Documentation/translations', 'tools/testing']

/** Nothing of when, where and by whom it was built is in the result. */
const SAME_BYTES = {
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan  1 00:00:00 UTC 1970',
  KBUILD_BUILD_USER: 'quiver',
  KBUILD_BUILD_HOST: 'quiver',
  KBUILD_BUILD_VERSION: '1',
}

/** How `make` tells that it compiles a file. */
const COMPILES = /^ {2}(?:CC|AS) /gm

export async function makeKernel(job: Job): Promise<Made> {
  const { archive, work, log, signal, onStage } = job
  const tree = path.join(work, 'linux')
  await mkdir(tree)
  const step = async (
    program: string,
    args: readonly string[],
    onOutput?: (text: string) => void,
  ) =>
    run(program, args, { folder: tree, confinedTo: work, signal, log, env: SAME_BYTES, onOutput })

  onStage('unpack', 0)
  const leftOut = LEFT_OUT.map((folder) => `--exclude=*/${folder}`)
  await step('tar', ['-xJf', archive, '--strip-components=1', '--no-same-owner', ...leftOut])
  for (const patch of await listPatches()) {
    await step('patch', ['--strip=1', '--forward', '--batch', '--fuzz=0', `--input=${patch}`])
  }

  onStage('configure', 0)
  const config = path.join(tree, '.config')
  await step('make', ['tinyconfig'])
  await step('scripts/kconfig/merge_config.sh', ['-m', config, FRAGMENT])
  await step('make', ['olddefconfig'])
  await assertKept(config)

  let files = 0
  onStage('compile', files)
  await step('make', [`-j${availableParallelism()}`, 'bzImage'], (text) => {
    files += text.match(COMPILES)?.length ?? 0
    onStage('compile', files)
  })
  const vmlinux = path.join(work, 'vmlinux')
  await step('strip', ['-o', vmlinux, 'vmlinux'])
  const release = await readFile(path.join(tree, 'include/config/kernel.release'), 'utf8')
  return {
    release: release.trim(),
    vmlinux,
    image: path.join(tree, 'arch/x86/boot/bzImage'),
    config,
    symbols: path.join(tree, 'System.map'),
  }
}

/** An option that is not there any more, or that misses what it depends on, is dropped without a word. */
async function assertKept(config: string): Promise<void> {
  const [fragment, result] = await Promise.all([
    readFile(FRAGMENT, 'utf8'),
    readFile(config, 'utf8'),
  ])
  const [first, ...more] = linesNotKept(fragment, result)
  if (first === undefined) return
  const others = more.length === 0 ? '' : ` and ${more.length} more`
  const message = `the source of Linux does not take ${first}${others}`
  throw new QuiverError('failed_precondition', 'KERNEL_OPTION_REFUSED', message, {
    hint: 'The recipe is for Linux 6.1: install linux-source-6.1, and name no other source.',
  })
}
