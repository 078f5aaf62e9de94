/** `quiver core rm`: the grammar. */

import { buildCommand } from '@stricli/core'

import { taskArgument } from '../../parameters.ts'

export const removeCore = buildCommand({
  docs: {
    brief: 'Remove core dumps of a task',
  },
  parameters: {
    positional: {
      kind: 'array',
      // The first is a task, the others are numbers: checked where they are used.
      parameter: {
        ...taskArgument,
        brief: 'Name of the task, then numbers of core dumps; all of them unless given',
        placeholder: 'task|number',
      },
      minimum: 1,
    },
    flags: {},
  },
  loader: async () => (await import('./core.impl.ts')).removeCore,
})
