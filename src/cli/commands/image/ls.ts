/** `quiver image ls`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag } from '../../parameters.ts'

export const listImages = buildCommand({
  docs: {
    brief: 'List images',
  },
  parameters: { positional: { kind: 'tuple', parameters: [] }, flags: { json: jsonFlag } },
  loader: async () => (await import('./image.impl.ts')).listImages,
})
