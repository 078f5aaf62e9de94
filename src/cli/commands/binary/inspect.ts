/** `quiver binary inspect`: the grammar. */

import { buildCommand } from '@stricli/core'

import { binaryArgument, jsonFlag } from '../../parameters.ts'

export const inspectBinary = buildCommand({
  docs: {
    brief: 'Show a binary with its files',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [binaryArgument] },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./binary.impl.ts')).inspectBinary,
})
