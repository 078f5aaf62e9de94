/** `quiver image rm`: the grammar. */

import { buildCommand } from '@stricli/core'

import { imageArgument } from '../../parameters.ts'

export const removeImage = buildCommand({
  docs: {
    brief: 'Remove images that nothing uses',
  },
  parameters: {
    positional: { kind: 'array', parameter: imageArgument, minimum: 1 },
    flags: {},
  },
  loader: async () => (await import('./image.impl.ts')).removeImage,
})
