/** `quiver binary rm`: the grammar. */

import { buildCommand } from '@stricli/core'

import { binaryArgument } from '../../parameters.ts'

export const removeBinary = buildCommand({
  docs: {
    brief: 'Remove binaries that nothing uses',
  },
  parameters: {
    positional: { kind: 'array', parameter: binaryArgument, minimum: 1 },
    flags: {},
  },
  loader: async () => (await import('./binary.impl.ts')).removeBinary,
})
