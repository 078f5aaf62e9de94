/** `quiver promote`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const promote = buildCommand({
  docs: {
    brief: 'Give the newest revision all traffic',
  },
  parameters: {
    positional: { kind: 'array', parameter: taskArgument, minimum: 1 },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).promoteTask,
})
