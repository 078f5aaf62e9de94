/** `quiver version`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const version = buildCommand({
  docs: {
    brief: 'Print the version',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./version.impl.ts')).version,
})
