/** `quiver core get`: the grammar. */

import { buildCommand } from '@stricli/core'

import { taskArgument, textFlag } from '../../parameters.ts'
import { parseCount } from '../../parse.ts'

export const getCore = buildCommand({
  docs: {
    brief: 'Write a core dump into a file',
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        taskArgument,
        {
          brief: 'Number of the core dump, by default the newest',
          parse: parseCount,
          placeholder: 'number',
          optional: true,
        },
      ],
    },
    flags: { output: textFlag('File to write; by default core.TASK.NUMBER here', 'file') },
    aliases: { o: 'output' },
  },
  loader: async () => (await import('./core.impl.ts')).getCore,
})
