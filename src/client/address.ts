/** Where a node is: what `--host` and `QUIVER_HOST` say. */

import { QuiverError } from '../core/error.ts'

export type NodeAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'http'; readonly url: URL }

/**
 * Reads `unix:/path`, `/path`, `http://host:port` or `https://host:port`.
 *
 * @throws QuiverError `invalid_argument/HOST_INVALID`
 */
export function parseAddress(text: string): NodeAddress {
  const path = text.startsWith('unix:') ? text.slice('unix:'.length) : text
  if (path.startsWith('/')) return { kind: 'unix', path }
  const url = URL.parse(text)
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url !== null && isHttp && url.pathname === '/') return { kind: 'http', url }
  throw new QuiverError(
    'invalid_argument',
    'HOST_INVALID',
    `"${text}" is not the address of a node`,
    {
      hint: 'Write unix:/path/of/api.sock, http://host:port or https://host:port.',
    },
  )
}

export function formatAddress(address: NodeAddress): string {
  return address.kind === 'unix' ? `unix:${address.path}` : address.url.origin
}
