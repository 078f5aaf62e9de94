/** The node that a command talks to: the one that is named, else that of this machine. */

import path from 'node:path'

import { parseAddress } from '../client/address.ts'
import { openClient } from '../client/client.ts'
import type { Client } from '../client/client.ts'

import type { CliContext } from './context.ts'
import { localFolders } from './local.ts'

export function openLocalClient(env: CliContext['process']['env']): Client {
  const host = env['QUIVER_HOST'] ?? ''
  const token = env['QUIVER_TOKEN'] ?? ''
  const socket = host === '' ? path.join(localFolders(env).run, 'api.sock') : host
  return openClient({ address: parseAddress(socket), token: token === '' ? undefined : token })
}
