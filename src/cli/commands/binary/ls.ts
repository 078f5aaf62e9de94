/** `quiver binary ls`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const listBinaries = buildCommand({
  docs: {
    brief: 'List binaries',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./binary.impl.ts')).listBinaries,
})
