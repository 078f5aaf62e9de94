/** `quiver kernel rm`: the grammar. */

import { buildCommand } from '@stricli/core'

import { kernelsFlag } from '../../parameters.ts'

export const removeKernel = buildCommand({
  docs: {
    brief: 'Remove kernels of microVMs',
    fullDescription: 'Machines that run keep theirs; new ones need another kernel.',
  },
  parameters: {
    positional: {
      kind: 'array',
      parameter: { brief: 'Digest, or its beginning', parse: String, placeholder: 'kernel' },
      minimum: 1,
    },
    flags: { kernels: kernelsFlag },
  },
  loader: async () => (await import('./kernel.impl.ts')).removeKernel,
})
