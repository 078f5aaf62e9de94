/** `quiver logs`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag, targetArgument, textFlag } from '../../parameters.ts'
import { parseCount, parseSince } from '../../parse.ts'

export const logs = buildCommand({
  docs: {
    brief: 'Print what a task wrote',
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [targetArgument] },
    flags: {
      follow: onFlag('Go on with what is written from now on'),
      since: {
        kind: 'parsed',
        parse: (text: string) => parseSince(text),
        brief: 'Only from then on: 10m, or a time',
        placeholder: 'time',
        optional: true,
      },
      tail: {
        kind: 'parsed',
        parse: parseCount,
        brief: 'Only the last lines',
        placeholder: 'lines',
        optional: true,
      },
      previous: onFlag('The instance before the newest one'),
      grep: textFlag('Only lines that match a regular expression', 'pattern'),
      requestId: textFlag('Only lines that mention this request', 'id'),
      time: onFlag('Begin each line with its time and instance'),
      json: jsonFlag,
    },
    aliases: { f: 'follow', n: 'tail' },
  },
  loader: async () => (await import('./logs.impl.ts')).logs,
})
