/** `quiver open`: the grammar. */

import { buildCommand } from '@stricli/core'

import { taskArgument } from '../../parameters.ts'

export const open = buildCommand({
  docs: {
    brief: 'Print the URL of a task, and open it in a browser where there is one',
  },
  parameters: { positional: { kind: 'tuple', parameters: [taskArgument] }, flags: {} },
  loader: async () => (await import('./open.impl.ts')).openTask,
})
