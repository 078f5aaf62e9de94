/** `quiver build`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag } from '../../parameters.ts'

export const build = buildCommand({
  docs: {
    brief: 'Build an image from a folder',
    fullDescription: [
      'Collects the files, stores them on the node and prints the digest of the image.',
      'The same input gives the same digest.',
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        {
          brief: 'Folder with a quiver.toml, by default this one',
          parse: String,
          placeholder: 'folder',
          optional: true,
        },
      ],
    },
    flags: { verbose: onFlag('List what the ignore file leaves out'), json: jsonFlag },
  },
  loader: async () => (await import('./build.impl.ts')).build,
})
