/** `quiver node health`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const health = buildCommand({
  docs: {
    brief: 'Show how the node is; fails when it is critical',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./inspect.impl.ts')).health,
})
