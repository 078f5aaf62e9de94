/** `quiver build`: the grammar. */

import { buildCommand } from '@stricli/core'

import { folderPositional, jsonFlag, onFlag } from '../../parameters.ts'

export const build = buildCommand({
  docs: {
    brief: 'Build an image from a folder',
    fullDescription: [
      'Collects the files, stores them on the node and prints the digest of the image.',
      'The same input gives the same digest.',
    ].join('\n'),
  },
  parameters: {
    positional: folderPositional,
    flags: { verbose: onFlag('List what the ignore file leaves out'), json: jsonFlag },
  },
  loader: async () => (await import('./build.impl.ts')).build,
})
