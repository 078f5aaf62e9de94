/** `quiver token`: the grammar. */

import { buildCommand } from '@stricli/core'

import { onFlag } from '../../parameters.ts'

export const token = buildCommand({
  docs: {
    brief: 'Print the token for the API on TCP',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      rotate: onFlag('Make a new one; the node takes it when it is restarted'),
      path: onFlag('Print where it is kept'),
    },
  },
  loader: async () => (await import('./token.impl.ts')).token,
})
