/** `quiver new`: the grammar. */

import { buildCommand } from '@stricli/core'

import { onFlag } from '../../parameters.ts'

export const create = buildCommand({
  docs: {
    brief: 'Write the files of a new application',
    fullDescription: [
      'Writes a folder with a commented quiver.toml and a program that answers. Never overwrites',
      'a file without --force.',
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        { brief: 'Name of the application and of its folder', parse: String, placeholder: 'name' },
      ],
    },
    flags: {
      template: {
        kind: 'parsed',
        parse: String,
        brief: 'What to begin with',
        default: 'node',
        placeholder: 'template',
      },
      force: onFlag('Overwrite files'),
      preview: onFlag('Print the files instead of writing them'),
    },
  },
  loader: async () => (await import('./create.impl.ts')).create,
})
