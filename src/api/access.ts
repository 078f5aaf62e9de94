/**
 * Who may call: everyone who can open the unix socket (its mode decides), and on TCP whoever has the token.
 * On TCP the `Host` header must be one of ours too, so that a web page cannot reach us by rebinding its name.
 */

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

import { QuiverError } from '../core/error.ts'

import { isSameToken } from './token.ts'

export type Access =
  | { readonly kind: 'unix' }
  | {
      readonly kind: 'tcp'
      readonly token: string
      /** Names of this node beside `localhost` and addresses. */
      readonly hosts: readonly string[]
    }

/** @throws QuiverError `permission_denied/HOST_REFUSED`, `unauthenticated/TOKEN_REFUSED` */
export function checkAccess(access: Access, request: Pick<IncomingMessage, 'headers'>): void {
  if (access.kind === 'unix') return
  const host = hostOf(request.headers.host ?? '')
  if (!isOwnHost(host, access.hosts)) {
    throw new QuiverError('permission_denied', 'HOST_REFUSED', `"${host}" is not this node`, {
      hint: 'Call the node by its address, or as "localhost".',
    })
  }
  const [, token = ''] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (isSameToken(token, access.token)) return
  throw new QuiverError('unauthenticated', 'TOKEN_REFUSED', 'the token is missing or wrong', {
    hint: 'Set QUIVER_TOKEN to what "quiver token" prints on the node.',
  })
}

function isOwnHost(host: string, hosts: readonly string[]): boolean {
  return host === 'localhost' || isIP(host) !== 0 || hosts.includes(host)
}

/** `example.com` of `example.com:80`, `::1` of `[::1]:80`. */
function hostOf(header: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(header) ?? []
  return (bracketed ?? plain ?? '').toLowerCase()
}
