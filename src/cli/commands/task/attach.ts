/** `quiver attach`: the grammar. */

import { buildCommand } from '@stricli/core'

import { onFlag, targetArgument } from '../../parameters.ts'

export const attach = buildCommand({
  docs: {
    brief: 'Join the input and output of a program',
    fullDescription: ['Begins with what it wrote last. Ctrl-P Ctrl-Q leaves it running.'].join(
      '\n',
    ),
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [targetArgument] },
    flags: { observe: onFlag('Only watch: never slow the program down') },
  },
  loader: async () => (await import('./attach.impl.ts')).attach,
})
