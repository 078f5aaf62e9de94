/** `quiver kernel build`: what it does. */

import path from 'node:path'

import type { CliContext } from '../../context.ts'
import { formatBytes } from '../../format.ts'
import { buildLocalKernel, localKernels } from '../../kernel.ts'
import { printJson, say } from '../../print.ts'

interface Flags {
  readonly kernels?: string
  readonly source?: string
  readonly json: boolean
}

export async function buildKernel(this: CliContext, flags: Flags): Promise<void> {
  const { kernel, isNew } = await buildLocalKernel(this, {
    folder: localKernels(this, flags.kernels),
    source: flags.source === undefined ? null : path.resolve(this.folder, flags.source),
  })
  if (flags.json) {
    printJson(this, { ...kernel, isNew })
    return
  }
  const { release, bytes, digest } = kernel
  say(this, `${release}: ${formatBytes(bytes)}${isNew ? '' : ', built already'}`)
  this.process.stdout.write(`${digest}\n`)
}
