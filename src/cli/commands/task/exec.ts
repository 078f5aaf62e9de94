/** `quiver exec`: the grammar. */

import { buildCommand } from '@stricli/core'

import { onFlag, overrideFlags, targetArgument } from '../../parameters.ts'

export const exec = buildCommand({
  docs: {
    brief: 'Execute a command in a running instance',
    fullDescription: [
      'It has the environment and the working directory of the program. A shell, or any applet',
      'of busybox, is lent for the session where the image has none.',
      '',
      '  quiver exec hello -- ls -l /app',
      '  quiver exec hello -- sh',
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'array',
      parameter: { ...targetArgument, brief: 'Task or instance, then the command' },
      minimum: 1,
    },
    flags: {
      env: overrideFlags.env,
      lend: onFlag('Use the busybox of the node, even where the image has the command'),
      terminal: {
        kind: 'boolean',
        brief: 'Give it a terminal; by default when yours is one',
        optional: true,
      },
    },
    aliases: { e: 'env', t: 'terminal' },
  },
  loader: async () => (await import('./exec.impl.ts')).exec,
})
