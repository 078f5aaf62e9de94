/** `quiver rm`: the grammar. */

import { buildCommand } from '@stricli/core'

import { taskArgument } from '../../parameters.ts'

export const remove = buildCommand({
  docs: {
    brief: 'Remove tasks with their revisions and logs',
  },
  parameters: {
    positional: { kind: 'array', parameter: taskArgument, minimum: 1 },
    flags: {},
  },
  loader: async () => (await import('./change.impl.ts')).removeTask,
})
