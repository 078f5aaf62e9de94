/** `quiver top`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag } from '../../parameters.ts'

export const top = buildCommand({
  docs: {
    brief: 'Show what instances use now',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: { once: onFlag('Print once; otherwise redraws on a terminal'), json: jsonFlag },
  },
  loader: async () => (await import('./top.impl.ts')).top,
})
