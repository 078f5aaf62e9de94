/** `quiver image inspect`: the grammar. */

import { buildCommand } from '@stricli/core'

import { imageArgument, jsonFlag } from '../../parameters.ts'

export const inspectImage = buildCommand({
  docs: {
    brief: 'Show an image with its files',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [imageArgument] },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./image.impl.ts')).inspectImage,
})
