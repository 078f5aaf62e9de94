/** `quiver rollback`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'
import { parseCount } from '../../parse.ts'

export const rollback = buildCommand({
  docs: {
    brief: 'Give an earlier revision all traffic',
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        taskArgument,
        {
          brief: 'Number of the revision; by default the one before',
          parse: parseCount,
          placeholder: 'revision',
          optional: true,
        },
      ],
    },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).rollbackTask,
})
