/** `quiver completion`: the grammar. */

import { buildCommand } from '@stricli/core'

import { parseShell } from '../../shells.ts'

export const completion = buildCommand({
  docs: {
    brief: 'Print a completion script for a shell',
    fullDescription: ['  eval "$(quiver completion bash)"'].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'bash, zsh or fish', parse: parseShell, placeholder: 'shell' }],
    },
    flags: {},
  },
  loader: async () => (await import('./completion.impl.ts')).completion,
})
