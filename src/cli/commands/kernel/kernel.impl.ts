/** `quiver kernel`: what `ls` and `rm` do. */

import * as kernels from '../../../kernel/kernels.ts'
import type { CliContext } from '../../context.ts'
import { forEach } from '../../each.ts'
import { formatAge, formatBytes, formatDigest } from '../../format.ts'
import { localKernels } from '../../kernel.ts'
import { printJson, printTable, say } from '../../print.ts'

interface Flags {
  readonly kernels?: string
}

export async function listKernels(
  this: CliContext,
  flags: Flags & { readonly json: boolean },
): Promise<void> {
  const found = await kernels.listKernels(localKernels(this, flags.kernels))
  if (flags.json) {
    printJson(this, found)
    return
  }
  const nowMs = Date.now()
  const rows = found.map(({ release, digest, bytes, isCurrent, builtAtMs, path }) => [
    release,
    formatDigest(digest),
    formatBytes(bytes),
    formatAge(builtAtMs, nowMs),
    isCurrent ? 'current' : 'older',
    path,
  ])
  printTable(this, ['RELEASE', 'DIGEST', 'SIZE', 'AGE', 'RECIPE', 'FILE'], rows)
}

export async function removeKernel(
  this: CliContext,
  flags: Flags,
  ...references: string[]
): Promise<void> {
  const folder = localKernels(this, flags.kernels)
  await forEach(this, references, async (reference) => {
    const { release, digest } = await kernels.removeKernel(folder, reference)
    say(this, `${release} (${formatDigest(digest)}) is removed`)
  })
}
