/**
 * Routes: which requests belong to a task, as people write them and as the proxy compares them.
 *
 *     [METHOD ]host[/path]      GET example.com/api/:id    *.example.com    example.com/files/*rest
 *
 * - A host alone takes every path. A path takes only itself; `:name` stands for one segment and a last
 *   `*name` for all that remains, which may be nothing. One slash at the end never matters.
 * - `*.example.com` takes every host below `example.com`, at any depth, but not `example.com` itself;
 *   `*` takes hosts that no other route names.
 * - Literals compare percent-decoded, by case. Hosts compare in lower case.
 *
 * This file parses, prints and orders routes. Finding the route of a request is the proxy's work.
 */

import { isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

import { QuiverError } from './error.ts'
import { nearestName } from './name.ts'

export interface Route {
  /** In upper case; null: every method. A `GET` route also takes `HEAD`, unless another says `HEAD`. */
  readonly method: string | null
  readonly host: HostPattern
  /** Empty for the path `/`; a lone `rest` without a name for a route without a path. */
  readonly segments: readonly Segment[]
}

export type HostPattern =
  /** A host name in lower case, an IPv4 address, or an IPv6 address in brackets. */
  | { readonly kind: 'exact'; readonly name: string }
  /** Every host that ends in `.` + `suffix`. */
  | { readonly kind: 'below'; readonly suffix: string }
  | { readonly kind: 'any' }

export type Segment =
  /** Percent-decoded; may hold a slash that was written `%2F`. */
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string }
  /** Last of its route. The name is empty where the route has no path. */
  | { readonly kind: 'rest'; readonly name: string }

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const METHODS_DAV = 'COPY LOCK MKCOL MOVE PROPFIND PROPPATCH REPORT SEARCH UNLOCK'.split(' ')

/** Methods that a route may name: those of RFC 9110 and WebDAV without CONNECT and TRACE. */
export const ROUTE_METHODS: readonly string[] = [...METHODS, ...METHODS_DAV]

const ROUTE_LENGTH_MAX = 1024
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const PARAMETER = /^[A-Za-z_][A-Za-z0-9_]*$/
/** `pchar` of RFC 3986 without the star, which would look like a wildcard. */
const LITERAL = /^(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})+$/

/** @throws QuiverError `invalid_argument/ROUTE_INVALID` saying which part is wrong */
export function parseRoute(text: string): Route {
  if (text.length > ROUTE_LENGTH_MAX) {
    throw invalid(`${text.slice(0, 40)}…`, `is longer than ${ROUTE_LENGTH_MAX} characters`)
  }
  const [, method, rest = ''] = /^(?:(\S+) +)?(\S+)$/.exec(text.trim()) ?? []
  if (rest === '') {
    throw invalid(text, 'is not a route', 'Write "host", "host/path" or "METHOD host/path".')
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(rest)) {
    throw invalid(text, 'has a scheme', 'Leave "http://" out: a route begins with its host.')
  }
  if (/[?#]/.test(rest)) {
    throw invalid(
      text,
      'has a query or fragment',
      'End the route with its path: queries do not route.',
    )
  }
  const slash = rest.indexOf('/')
  const host = slash === -1 ? rest : rest.slice(0, slash)
  return {
    method: method === undefined ? null : parseMethod(method, text),
    host: parseHost(host, text),
    segments: slash === -1 ? [{ kind: 'rest', name: '' }] : parsePath(rest.slice(slash), text),
  }
}

/** The one way to write a route; `parseRoute` reads it back as the same route. */
export function formatRoute(route: Route): string {
  const method = route.method === null ? '' : `${route.method} `
  const isWholeHost = route.segments[0]?.kind === 'rest' && route.segments[0].name === ''
  const path = isWholeHost ? '' : `/${route.segments.map(formatSegment).join('/')}`
  return `${method}${formatHost(route.host)}${path}`
}

/**
 * Orders routes so that the first one that fits a request is the most specific: exact host, longest suffix,
 * any host; then from the left literal, parameter, end of path, rest; then with a method before without.
 *
 * @returns negative when `a` is more specific, positive when `b` is, 0 when neither is
 */
export function compareSpecificity(a: Route, b: Route): number {
  const host = compareHosts(a.host, b.host)
  if (host !== 0) return host
  const length = Math.max(a.segments.length, b.segments.length)
  for (let index = 0; index < length; index++) {
    const difference = segmentRank(a.segments[index]) - segmentRank(b.segments[index])
    if (difference !== 0) return difference
  }
  return Number(a.method === null) - Number(b.method === null)
}

/** Whether both take exactly the same requests, whatever their parameters are called. */
export function routesConflict(a: Route, b: Route): boolean {
  return routeKey(a) === routeKey(b)
}

/** Equal for two routes that conflict and only for them: a key for maps of who owns which route. */
export function routeKey(route: Route): string {
  return formatRoute({ ...route, segments: route.segments.map(anonymous) })
}

/**
 * Splits a request's path, without its query, into the decoded segments that `literal` compares with. A
 * segment that cannot be decoded stays as it is.
 */
export function splitPath(path: string): readonly string[] {
  const inner = path.replace(/^\//, '').replace(/\/$/, '')
  return inner === '' ? [] : inner.split('/').map(decode)
}

function parseMethod(method: string, text: string): string {
  if (ROUTE_METHODS.includes(method)) return method
  const nearest = nearestName(method, ROUTE_METHODS)
  const methods = METHODS.join(', ')
  const hint = nearest === undefined ? `Use one of ${methods}.` : `Did you mean "${nearest}"?`
  throw invalid(text, `has no method "${method}" that can be routed`, hint)
}

function parseHost(written: string, text: string): HostPattern {
  const host = written.toLowerCase().replace(/\.$/, '')
  if (host === '')
    throw invalid(text, 'has no host', 'Begin with a host, such as "hello.localhost".')
  if (host === '*') return { kind: 'any' }
  if (host.startsWith('[') && host.endsWith(']')) return parseAddress(host, text)
  if (/:\d*$/.test(host)) {
    throw invalid(text, 'has a port', 'Leave the port out: the node decides where it listens.')
  }
  const isBelow = host.startsWith('*.')
  const name = isBelow ? host.slice(2) : host
  if (name.includes('*')) {
    throw invalid(
      text,
      'has a star inside its host',
      'A star stands for whole labels in front: "*.example.com".',
    )
  }
  if (!name.split('.').every((label) => LABEL.test(label)) || name.length > 253) {
    const ascii = /[^\u0020-\u007e]/.test(name) ? domainToASCII(name) : ''
    const hint = 'Use labels of letters, digits and hyphens, joined by dots.'
    throw invalid(
      text,
      `has the invalid host "${written}"`,
      ascii === '' ? hint : `Write it as "${ascii}".`,
    )
  }
  return isBelow ? { kind: 'below', suffix: name } : { kind: 'exact', name }
}

function parseAddress(host: string, text: string): HostPattern {
  if (!isIPv6(host.slice(1, -1)) || host.includes('%')) {
    throw invalid(text, `has the invalid address "${host}"`, 'Write an IPv6 address as "[::1]".')
  }
  return { kind: 'exact', name: new URL(`http://${host}/`).hostname }
}

function parsePath(path: string, text: string): readonly Segment[] {
  const inner = path.slice(1).replace(/\/$/, '')
  if (inner === '') return []
  const segments = inner.split('/').map((part) => parseSegment(part, text))
  const rest = segments.findIndex(({ kind }) => kind === 'rest')
  if (rest !== -1 && rest !== segments.length - 1) {
    throw invalid(
      text,
      'goes on after its rest',
      'Put "*name" last: it takes all that remains of the path.',
    )
  }
  const names = segments.flatMap((segment) => (segment.kind === 'literal' ? [] : [segment.name]))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw invalid(text, `names "${twice}" twice`, 'Give every parameter a name of its own.')
  }
  return segments
}

function parseSegment(part: string, text: string): Segment {
  if (part === '') throw invalid(text, 'has an empty path segment', 'Write one slash, not two.')
  const sigil = part.charAt(0)
  if (sigil === ':' || sigil === '*') {
    const name = part.slice(1)
    if (PARAMETER.test(name)) return { kind: sigil === ':' ? 'param' : 'rest', name }
    const hint = `Write "${sigil}" and a name of letters, digits and underscores, such as "${sigil === ':' ? ':id' : '*rest'}".`
    throw invalid(text, `has the invalid parameter "${part}"`, hint)
  }
  const literal = LITERAL.test(part) ? decode(part) : ''
  if (literal !== '' && literal !== '.' && literal !== '..')
    return { kind: 'literal', text: literal }
  throw invalid(
    text,
    `has the invalid path segment "${part}"`,
    "Use letters, digits and -._~!$&'()+,;=:@ and percent-encode the rest.",
  )
}

function formatHost(host: HostPattern): string {
  if (host.kind === 'any') return '*'
  return host.kind === 'below' ? `*.${host.suffix}` : host.name
}

function formatSegment(segment: Segment): string {
  if (segment.kind === 'param') return `:${segment.name}`
  if (segment.kind === 'rest') return `*${segment.name}`
  return encodeURIComponent(segment.text).replaceAll('*', '%2A')
}

/** Host patterns by how much they say: exact, then suffixes from the longest, then any. */
function compareHosts(a: HostPattern, b: HostPattern): number {
  const rank = { exact: 0, below: 1, any: 2 } as const
  if (a.kind === 'below' && b.kind === 'below') {
    return b.suffix.split('.').length - a.suffix.split('.').length
  }
  return rank[a.kind] - rank[b.kind]
}

function segmentRank(segment: Segment | undefined): number {
  if (segment === undefined) return 2
  return { literal: 0, param: 1, rest: 3 }[segment.kind]
}

function anonymous(segment: Segment): Segment {
  return segment.kind === 'literal'
    ? segment
    : { kind: segment.kind, name: segment.kind === 'rest' ? '' : '_' }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function invalid(text: string, what: string, hint?: string): QuiverError {
  const options = hint === undefined ? {} : { hint }
  return new QuiverError(
    'invalid_argument',
    'ROUTE_INVALID',
    `the route "${text}" ${what}`,
    options,
  )
}
