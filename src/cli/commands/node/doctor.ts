/** `quiver doctor`: the grammar. */

import { buildCommand } from '@stricli/core'

import { jsonFlag, onFlag } from '../../parameters.ts'

export const doctor = buildCommand({
  docs: {
    brief: 'Find what this machine lacks, and fix it',
    fullDescription: [
      'Each finding says what is lost and how to get it. With --fix, Debian packages are installed',
      'and the native parts are built; it says what it does before it does it. With --microvm too,',
      'the kernel of microVMs is built, which takes some minutes.',
    ].join('\n'),
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      examples: onFlag('Also look for what the examples need'),
      microvm: onFlag('Also look for what isolation "microvm" needs, its kernel among it'),
      fix: onFlag('Install and build what is missing'),
      json: jsonFlag,
    },
  },
  loader: async () => (await import('./doctor.impl.ts')).doctor,
})
