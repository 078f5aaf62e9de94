/** `quiver describe`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const describe = buildCommand({
  docs: {
    brief: 'Show a task: revisions, instances, starts, errors',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [taskArgument] },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./describe.impl.ts')).describe,
})
