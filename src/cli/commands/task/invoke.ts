/** `quiver invoke`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, taskArgument } from '../../parameters.ts'

export const invoke = buildCommand({
  docs: {
    brief:
      'Call a function that a WebAssembly module or a script exports, and print what it returns',
    fullDescription: [
      'The task is woken, and the call has a fresh instance of the module, as a request has.',
      'Modules take numbers, one for each parameter; integers may be hexadecimal. Components take what',
      'their types say: texts, true and false as they are, lists and records as JSON. Functions of',
      'scripts get what is JSON as its value, and anything else as text. A server in a sandbox can',
      'answer calls too: it gets POST /.well-known/quiver/call/<export>.',
      '',
      '  quiver invoke up --export add -- 2 40',
      '  quiver invoke words --export join -- \'["a", "b"]\' \', \'',
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'array',
      parameter: { ...taskArgument, brief: 'Task, then the arguments' },
      minimum: 1,
    },
    flags: {
      export: { kind: 'parsed', parse: String, brief: 'Exported function', placeholder: 'name' },
      json: jsonFlag,
    },
    aliases: { x: 'export' },
  },
  loader: async () => (await import('./invoke.impl.ts')).invoke,
})
