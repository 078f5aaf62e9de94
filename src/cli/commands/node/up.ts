/** `quiver up`: the grammar. */

import { buildCommand } from '@stricli/core'

import { onFlag, textFlag } from '../../parameters.ts'

export const up = buildCommand({
  docs: {
    brief: 'Start a node',
    fullDescription: [
      'Starts control, proxy and egress under a supervisor, and stops them with Ctrl-C.',
    ].join('\n'),
  },
  parameters: {
    positional: { kind: 'tuple', parameters: [] },
    flags: {
      detach: onFlag('Leave it running in the background'),
      listenHttp: textFlag('Where HTTP requests come in, 127.0.0.1:8080 by default', 'address'),
      listenHttps: textFlag('Where HTTPS requests come in, or off', 'address'),
      listenApi: textFlag('Where the API listens beside its socket, or off', 'address'),
      domain: textFlag('Domain that tasks without routes are below', 'domain'),
      run: textFlag('Folder of sockets', 'folder'),
      tlsCertificate: textFlag('PEM file of the certificate chain', 'file'),
      tlsKey: textFlag('PEM file of its private key', 'file'),
      uidBase: textFlag('First user id that tasks get', 'number'),
      uidSize: textFlag('Number of user ids', 'number'),
      limitsTasks: textFlag('Most tasks that can be deployed', 'number'),
      limitsInstances: textFlag('Most instances at a time', 'number'),
    },
    aliases: { d: 'detach' },
  },
  loader: async () => (await import('./up.impl.ts')).up,
})
