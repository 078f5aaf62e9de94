/** `quiver config print`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const printConfig = buildCommand({
  docs: {
    brief: 'Print the effective configuration of the node and where each value is from',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./inspect.impl.ts')).printConfig,
})
