/** `quiver run`: the grammar. */

import { buildCommand } from '@stricli/core'

import { parseMilliseconds } from '../../../core/units.ts'
import { jsonFlag, nameFlag, onFlag, overrideAliases, overrideFlags } from '../../parameters.ts'
import { parseSharedFolder } from '../../parse.ts'

export const run = buildCommand({
  docs: {
    brief: 'Run a folder, a file or a binary once, in the foreground',
    fullDescription: [
      'Builds an image from a folder with a quiver.toml, from a program, a WebAssembly module or a',
      'script (.js, .ts), or takes a binary by its name, runs one',
      'instance and exits with its status. What follows "--" are arguments of the program.',
      '',
      '  quiver run . -- --verbose',
      '  quiver run busybox -- sh',
      '  quiver run app.wasm -- --verbose < in.txt',
      '  quiver run app.wasm --dir ./photos:/in --dir /srv/out:/out:rw',
      '  quiver run script.js',
      "  echo 'console.log(1 + 1)' | quiver run js -",
    ].join('\n'),
  },
  parameters: {
    positional: {
      kind: 'array',
      parameter: {
        brief: 'Folder, file or binary, then arguments of the program',
        parse: String,
        placeholder: 'arg',
      },
      minimum: 1,
    },
    flags: {
      ...overrideFlags,
      name: nameFlag('Name for logs, stop and exec'),
      dir: {
        kind: 'parsed',
        parse: parseSharedFolder,
        brief: 'Share a folder with a WebAssembly program, read-only unless :rw (repeatable)',
        placeholder: 'HOST[:GUEST][:rw]',
        variadic: true,
        optional: true,
      },
      timeout: {
        kind: 'parsed',
        parse: parseMilliseconds,
        brief: 'Longest life, such as 10s; by default what the manifest says',
        placeholder: 'duration',
        optional: true,
      },
      detach: onFlag('Leave it running and print its name'),
      rm: onFlag(
        'Forget it with its log when it ends, as a foreground run without a name always is',
      ),
      terminal: {
        kind: 'boolean',
        brief: 'Give it a terminal; by default when yours is one',
        optional: true,
      },
      stdin: {
        kind: 'boolean',
        brief: 'Connect your input; by default when it is not detached',
        optional: true,
      },
      json: jsonFlag,
    },
    aliases: { ...overrideAliases, d: 'detach', t: 'terminal', i: 'stdin' },
  },
  loader: async () => (await import('./run.impl.ts')).run,
})
