/** `quiver scale`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'
import { parseInstances } from '../../parse.ts'

export const scale = buildCommand({
  docs: {
    brief: 'Fix the number of instances of a task',
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        taskArgument,
        {
          brief: 'Instances, or auto: as the manifest says',
          parse: parseInstances,
          placeholder: 'count',
        },
      ],
    },
    flags: { json: jsonFlag },
  },
  loader: async () => (await import('./change.impl.ts')).scaleTask,
})
