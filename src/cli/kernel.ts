/** Kernels of microVMs, for several commands: where they are, and building one while telling how far it is. */

import path from 'node:path'

import { buildKernel, type Built, type Progress } from '../kernel/build.ts'
import { kernelsFolder } from '../kernel/kernels.ts'

import type { CliContext } from './context.ts'
import { say } from './print.ts'

const STAGES = {
  wait: 'Another build runs: waiting for it',
  unpack: "Unpacking Linux's source",
  configure: 'Configuring it',
  compile: 'Compiling it, which takes some minutes',
  store: 'Storing the kernel',
} as const satisfies Record<Progress['stage'], string>

/** So often it is said how many files are compiled. */
const FILES_STEP = 250

/** Where the kernels of microVMs are. @param chosen  what a flag says, if it was given */
export function localKernels({ process, folder }: CliContext, chosen: string | undefined): string {
  if (chosen !== undefined) return path.resolve(folder, chosen)
  return kernelsFolder(process.env, globalThis.process.getuid?.() ?? 0)
}

/** @throws QuiverError as `buildKernel` does */
export async function buildLocalKernel(
  context: CliContext,
  where: { readonly folder: string; readonly source: string | null },
): Promise<Built> {
  let stage: Progress['stage'] | undefined
  let filesTold = 0
  const onProgress = (now: Progress) => {
    if (now.stage !== stage) {
      stage = now.stage
      say(context, now.stage === 'compile' ? `${STAGES.compile} (log: ${now.log})` : STAGES[stage])
      return
    }
    if (now.files < filesTold + FILES_STEP) return
    filesTold = now.files
    say(context, `${filesTold} files are compiled`)
  }
  return buildKernel({ ...where, onProgress }, context.signal)
}
