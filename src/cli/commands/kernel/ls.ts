/** `quiver kernel ls`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, kernelsFlag } from '../../parameters.ts'

export const listKernels = buildCommand({
  docs: { brief: 'List kernels of microVMs that were built on this machine' },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: { kernels: kernelsFlag, json: jsonFlag },
  },
  loader: async () => (await import('./kernel.impl.ts')).listKernels,
})
