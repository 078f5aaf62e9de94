/** Addresses in configuration: where a host listens, and which outside hosts may be reached. */

import { isIPv4, isIPv6 } from 'node:net'

import { QuiverError } from '../core/error.ts'
import type { OutsideHost } from '../core/task.ts'

export interface ListenAddress {
  /** An IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
}

/**
 * Reads `6379`, `127.0.0.1:6379` or `[::1]:6379`. A port alone listens on loopback: nothing is reachable from
 * other machines unless an address says so.
 *
 * @param portMin  1, or 0 where the system may choose
 * @throws QuiverError `invalid_argument/ADDRESS_INVALID`
 */
export function parseListenAddress(text: string, portMin: 0 | 1 = 1): ListenAddress {
  const [, ipv6, ipv4 = '127.0.0.1', digits = ''] =
    /^(?:\[(.*)\]:|([^:]*):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  const isAddress = ipv6 === undefined ? isIPv4(ipv4) : isIPv6(ipv6)
  if (digits !== '' && port >= portMin && port <= 65_535 && isAddress) {
    return { address: ipv6 ?? ipv4, port }
  }
  throw new QuiverError(
    'invalid_argument',
    'ADDRESS_INVALID',
    `"${text}" is not a listening address`,
    {
      hint: `Write a port from ${portMin} to 65535, alone for loopback or after an IP address: "6379", "127.0.0.1:6379", "0.0.0.0:6379", "[::1]:6379".`,
    },
  )
}

/** `127.0.0.1:6379` or `[::1]:6379`. */
export function formatListenAddress({ address, port }: ListenAddress): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

const PORTS: Readonly<Record<OutsideHost['scheme'], number | undefined>> = {
  http: 80,
  https: 443,
  tcp: undefined,
}
const HOST_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Reads `https://api.example.com`, `http://10.0.0.5:8080`, `tcp://db.example.com:5432`. Without a scheme a host
 * means https, and a host with a port means tcp. `*.example.com` is read too: rules.ts says that it is not there yet.
 *
 * @throws QuiverError `invalid_argument/ALLOW_INVALID`
 */
export function parseOutsideHost(text: string): OutsideHost {
  const [, scheme, authority = '', path = ''] =
    /^(?:([a-z]+):\/\/)?([^/?#]*)(.*)$/is.exec(text) ?? []
  if (path !== '' && path !== '/') {
    const kept = text.slice(0, text.length - path.length)
    throw invalid(
      text,
      'has a path',
      `"allow" means a host and a port, not a path: write "${kept}".`,
    )
  }
  if (authority.includes('@')) {
    throw invalid(text, 'has a user', 'Leave out what is before "@": it is not part of a host.')
  }
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(authority)
  if (parts === null) throw notAHost(text)
  const [, bracketed, plain, digits] = parts
  const kind = parseScheme(text, scheme?.toLowerCase(), digits !== undefined)
  const port = digits === undefined ? PORTS[kind] : Number(digits)
  if (port === undefined) {
    throw invalid(
      text,
      'has no port',
      `Write the port after the host: "${text.replace(/\/$/, '')}:5432".`,
    )
  }
  if (port < 1 || port > 65_535)
    throw invalid(text, 'has an invalid port', 'Use a port from 1 to 65535.')
  return { scheme: kind, host: parseHost(text, bracketed, plain), port }
}

/** `https://api.example.com`, with a port only where it is not the scheme's own. */
export function formatOutsideHost({ scheme, host, port }: OutsideHost): string {
  const name = isIPv6(host) ? `[${host}]` : host
  return `${scheme}://${name}${port === PORTS[scheme] ? '' : `:${port}`}`
}

function parseScheme(
  text: string,
  scheme: string | undefined,
  hasPort: boolean,
): OutsideHost['scheme'] {
  if (scheme === undefined) return hasPort ? 'tcp' : 'https'
  if (scheme === 'http' || scheme === 'https' || scheme === 'tcp') return scheme
  throw invalid(
    text,
    `has the unknown scheme "${scheme}"`,
    'Use https, http or tcp; for anything that is not the web: "tcp://host:port".',
  )
}

function parseHost(text: string, bracketed: string | undefined, plain = ''): string {
  if (bracketed !== undefined) {
    if (isIPv6(bracketed) && !bracketed.includes('%')) return bracketed.toLowerCase()
    throw invalid(text, 'has an invalid IPv6 address', 'Write it as "tcp://[2001:db8::1]:5432".')
  }
  const host = plain.toLowerCase().replace(/\.$/, '')
  const labels = (host.startsWith('*.') ? host.slice(2) : host).split('.')
  const isWide = host.startsWith('*.') && labels.length < 2
  if (host === '*' || isWide) {
    throw invalid(text, 'allows too much', 'Name the hosts: "https://api.example.com".')
  }
  if (/^[0-9.]+$/.test(host) && !isIPv4(host)) {
    throw invalid(text, 'has an invalid IPv4 address', 'Write four numbers from 0 to 255.')
  }
  if (host.length <= 253 && labels.every((label) => HOST_LABEL.test(label))) return host
  throw notAHost(text)
}

function notAHost(text: string): QuiverError {
  return invalid(
    text,
    'is not an outside host',
    'Write "https://host", "http://host:port" or "tcp://host:port".',
  )
}

function invalid(text: string, what: string, hint: string): QuiverError {
  return new QuiverError('invalid_argument', 'ALLOW_INVALID', `"${text}" ${what}`, { hint })
}
