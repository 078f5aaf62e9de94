/** `quiver events`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag, textFlag } from '../../parameters.ts'
import { parseSince } from '../../parse.ts'

export const events = buildCommand({
  docs: {
    brief: 'Print what happened, and what happens',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      follow: onFlag('Go on with what happens from now on'),
      since: {
        kind: 'parsed',
        parse: (text: string) => parseSince(text),
        brief: 'Only from then on: 10m, or a time',
        placeholder: 'time',
        optional: true,
      },
      task: textFlag('Only of one task', 'name'),
      json: jsonFlag,
    },
    aliases: { f: 'follow' },
  },
  loader: async () => (await import('./events.impl.ts')).events,
})
