/** `quiver kernel build`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, kernelsFlag, textFlag } from '../../parameters.ts'

export const buildKernel = buildCommand({
  docs: {
    brief: 'Build the kernel of microVMs',
    fullDescription: [
      'Compiles Linux for microVMs with the compiler of this machine, from the source that Debian',
      'packages (linux-source-6.1): some minutes, and 2 GiB of disk meanwhile. What is built already',
      'is not built again. All nodes of the machine share it; no node needs to run.',
    ].join('\n'),
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      kernels: kernelsFlag,
      source: textFlag("Archive of Linux's source instead of the package's", 'file'),
      json: jsonFlag,
    },
  },
  loader: async () => (await import('./build.impl.ts')).buildKernel,
})
