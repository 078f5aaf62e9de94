/** `quiver image gc`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const collectGarbage = buildCommand({
  docs: {
    brief: 'Remove files that no image or binary refers to',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./image.impl.ts')).collectGarbage,
})
