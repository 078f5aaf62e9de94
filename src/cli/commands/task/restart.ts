/** `quiver restart`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const restart = buildCommand({
  docs: {
    brief: 'Replace the instances of a task, without refusing a request',
  },
  parameters: {
    positional: { kind: 'array', parameter: taskArgument, minimum: 1 },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).restartTask,
})
