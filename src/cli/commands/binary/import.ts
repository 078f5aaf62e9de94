/** `quiver binary import`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, textFlag } from '../../parameters.ts'

export const importBinary = buildCommand({
  docs: {
    brief: 'Store a binary: by its recipe, or a program by its path',
    fullDescription: [
      'Takes what this machine has now. Tasks go on with the binary they were deployed with;',
      'deployments from then on get the new one.',
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        {
          brief: 'Name such as python3 or node@26, or the path of a program',
          parse: String,
          placeholder: 'name|path',
        },
      ],
    },
    flags: {
      name: textFlag('Name to store a program under; by default that of its file', 'name'),
      json: jsonFlag,
    },
  },
  loader: async () => (await import('./import.impl.ts')).importBinary,
})
