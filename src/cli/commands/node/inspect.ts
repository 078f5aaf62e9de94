/** `quiver node inspect`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const inspectNode = buildCommand({
  docs: {
    brief: 'Show the node and where it listens',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./inspect.impl.ts')).inspectNode,
})
