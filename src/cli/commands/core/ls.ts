/** `quiver core ls`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const listCores = buildCommand({
  docs: {
    brief: 'List core dumps',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [{ ...taskArgument, optional: true }] },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./core.impl.ts')).listCores,
})
