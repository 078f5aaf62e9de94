/** `quiver stop`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const stop = buildCommand({
  docs: {
    brief: 'Stop a task until it is started, or end a run',
  },
  parameters: {
    positional: { kind: 'array', parameter: taskArgument, minimum: 1 },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).stopTask,
})
