/** `quiver start`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const start = buildCommand({
  docs: {
    brief: 'Start a stopped task',
  },
  parameters: {
    positional: { kind: 'array', parameter: taskArgument, minimum: 1 },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).startTask,
})
