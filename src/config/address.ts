/** Addresses in configuration: where a host listens, and which outside hosts may be reached. */

import { BlockList, isIPv4, isIPv6 } from 'node:net'

import { QuiverError } from '../core/error.ts'
import { isWildcard } from '../core/outside-host.ts'
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
/** "This host", and groups of hosts: nobody's own. */
const NOT_HOSTS = new BlockList()
NOT_HOSTS.addSubnet('0.0.0.0', 8, 'ipv4')
NOT_HOSTS.addSubnet('224.0.0.0', 3, 'ipv4')
NOT_HOSTS.addAddress('::', 'ipv6')
NOT_HOSTS.addSubnet('ff00::', 8, 'ipv6')
const LINK_LOCAL = new BlockList()
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6')
const HOST_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Reads `https://api.example.com`, `http://10.0.0.5:8080`, `tcp://db.example.com:5432`. Without a scheme a host
 * means https, and a host with a port means tcp. `*.example.com` is every name below `example.com`. An IPv6 address stands
 * in brackets; it becomes what RFC 5952 recommends, so that one address is always the same text.
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
  if (bracketed !== undefined) return parseIpv6(text, bracketed)
  const host = plain.toLowerCase().replace(/\.$/, '')
  if (/^[0-9.]+$/.test(host)) return parseIpv4(text, host)
  if (host.includes('*')) checkWildcard(text, host)
  const labels = (isWildcard(host) ? host.slice(2) : host).split('.')
  if (host.length <= 253 && labels.every((label) => HOST_LABEL.test(label))) return host
  throw notAHost(text)
}

function parseIpv4(text: string, host: string): string {
  if (!isIPv4(host)) {
    throw invalid(text, 'has an invalid IPv4 address', 'Write four numbers from 0 to 255.')
  }
  if (NOT_HOSTS.check(host, 'ipv4')) throw notOneHost(text)
  return host
}

function parseIpv6(text: string, address: string): string {
  if (!isIPv6(address) || address.includes('%')) {
    throw invalid(text, 'has an invalid IPv6 address', 'Write it as "tcp://[2001:db8::1]:5432".')
  }
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  if (canonical.startsWith('::ffff:')) {
    const hint = 'Write the IPv4 address alone, as four numbers: it is reached by both.'
    throw invalid(text, 'is an IPv4 address within IPv6', hint)
  }
  if (LINK_LOCAL.check(canonical, 'ipv6')) {
    const hint =
      'It belongs to one interface of the machine, which a task has not: use another of the host.'
    throw invalid(text, 'is a link-local address', hint)
  }
  if (NOT_HOSTS.check(canonical, 'ipv6')) throw notOneHost(text)
  return canonical
}

/** `*.` in front of two labels or more: what is below `com` is everybody's. */
function checkWildcard(text: string, host: string): void {
  const domain = host.replace(/^\*\.?/, '')
  if (domain.includes('*') || (host !== '*' && !isWildcard(host))) {
    const hint = 'It stands for all labels in front, and for nothing else: "https://*.example.com".'
    throw invalid(text, 'has a star where none may be', hint)
  }
  if (/^[0-9.]+$/.test(domain) && domain !== '') {
    throw invalid(text, 'has a star before an address', 'Name the addresses one by one.')
  }
  if (domain.includes('.')) return
  const hint = 'Name the hosts, or the domain that they are below: "https://*.example.com".'
  throw invalid(text, 'allows too much', hint)
}

function notOneHost(text: string): QuiverError {
  return invalid(
    text,
    'is not the address of a host',
    'Write the address that the host itself has.',
  )
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
