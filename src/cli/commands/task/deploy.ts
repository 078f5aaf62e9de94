/** `quiver deploy`: the grammar. */

import { buildCommand } from '@stricli/core'

import {
  folderPositional,
  jsonFlag,
  nameFlag,
  onFlag,
  overrideAliases,
  overrideFlags,
} from '../../parameters.ts'
import { parsePercent } from '../../parse.ts'

export const deploy = buildCommand({
  docs: {
    brief: 'Deploy a folder as a task',
    fullDescription: [
      'Builds an image from the folder, sends what the node does not have yet, and makes a new',
      'revision of the task. It takes new requests once it is ready; the old one drains.',
    ].join('\n'),
  },
  parameters: {
    positional: folderPositional,
    flags: {
      ...overrideFlags,
      name: nameFlag('Name of the task, instead of the one in the manifest'),
      traffic: {
        kind: 'parsed',
        parse: parsePercent,
        brief: 'Share of new requests for the new revision, such as 10%',
        placeholder: 'percent',
        optional: true,
      },
      dryRun: onFlag('Only show what would change'),
      json: jsonFlag,
    },
    aliases: overrideAliases,
  },
  loader: async () => (await import('./deploy.impl.ts')).deploy,
})
