/** `quiver ps`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag } from '../../parameters.ts'

export const ps = buildCommand({
  docs: {
    brief: 'List tasks and runs',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      instances: onFlag('List instances instead of tasks'),
      all: onFlag('List instances, also those that ended'),
      json: jsonFlag,
    },
    aliases: { i: 'instances', a: 'all' },
  },
  loader: async () => (await import('./ps.impl.ts')).ps,
})
