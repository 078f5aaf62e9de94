/** `quiver down`: the grammar. */

import { buildCommand } from '@stricli/core'

export const down = buildCommand({
  docs: {
    brief: 'Stop a node that runs in the background',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: {} },
  loader: async () => (await import('./up.impl.ts')).down,
})
