/**
 * What of a request's and a response's headers goes on, and what the proxy adds. Pure; values are never changed, only
 * left out or replaced. Hop-by-hop fields end here (RFC 9110, section 7.6.1), and so does everything that says where a
 * request came from, unless the sender is trusted: an instance may believe what it reads in those.
 */

import type { IncomingMessage } from 'node:http'

import type { ResponseHead } from './upstream/response-parser.ts'

/** Where a request came from, kept per connection. */
export interface Origin {
  /** Address of the client, IPv4-mapped ones as IPv4. */
  readonly address: string
  readonly isSecure: boolean
  /** It may say itself where the request came from. */
  readonly isTrusted: boolean
  /** The task that sent it through the tunnel; null: from outside. */
  readonly fromTask: string | null
}

export interface RequestHeadOptions {
  readonly target: string
  readonly host: string
  readonly requestId: string
  readonly origin: Origin
  /** Not null: the connection is to be switched to this protocol, in lower case. */
  readonly upgrade: { readonly protocol: string } | null
}

/** How to treat a header, by its name in lower case with hyphens. */
type Verdict = 'keep' | 'drop' | 'origin'

/** Hop-by-hop, or said anew from what was understood, so that both sides understand the same. */
const DROPPED = setOf(
  'connection keep-alive proxy-connection proxy-authorization te upgrade http2-settings',
  'host content-length transfer-encoding expect x-request-id',
)

const ORIGIN = setOf(
  'forwarded x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix',
  'x-forwarded-server x-forwarded-ssl x-forwarded-scheme x-original-url x-rewrite-url',
  'x-real-ip x-client-ip true-client-ip',
)

const RESPONSE_DROPPED = setOf(
  'connection keep-alive proxy-connection transfer-encoding upgrade x-request-id trailer',
)

const VERDICTS_MAX = 2048
const verdicts = new Map<string, Verdict>()

/**
 * The head of the request as the instance gets it, each line ended, without the empty line; latin1.
 */
export function buildRequestHead(request: IncomingMessage, options: RequestHeadOptions): string {
  const { origin, upgrade, host } = options
  const { headers, rawHeaders } = request
  const named = namedByConnection(headers.connection)
  let head = `${request.method ?? ''} ${options.target} HTTP/1.1\r\nHost: ${host}\r\n`
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const verdict = verdicts.get(name) ?? judge(name)
    if (verdict === 'drop' || (verdict === 'origin' && !origin.isTrusted)) continue
    if (verdict === 'origin' && name.toLowerCase() === 'x-forwarded-for') continue
    if (named !== null && named.has(name.toLowerCase())) continue
    head += `${name}: ${rawHeaders[index + 1]}\r\n`
  }
  if (headers['transfer-encoding'] !== undefined) head += 'Transfer-Encoding: chunked\r\n'
  else if (headers['content-length'] !== undefined) {
    head += `Content-Length: ${headers['content-length']}\r\n`
  }
  const { te } = headers
  if (te !== undefined && /\btrailers\b/i.test(String(te))) head += 'TE: trailers\r\n'
  if (upgrade !== null) head += `Connection: Upgrade\r\nUpgrade: ${upgrade.protocol}\r\n`
  return `${head}${describeOrigin(request, origin, host)}X-Request-Id: ${options.requestId}\r\n`
}

/** Lower-case names that this message's `Connection` header says belong to one hop; null: none. */
export function namedByConnection(connection: string | undefined): ReadonlySet<string> | null {
  if (connection === undefined) return null
  if (connection === 'keep-alive' || connection === 'close') return null
  const names = connection.toLowerCase().split(',')
  return new Set(names.map((name) => name.trim()))
}

/** The headers of a response as the client gets them, without those that the proxy adds: name, value, name, value … */
export function selectResponseHeaders(head: ResponseHead, keepsTrailer: boolean): string[] {
  const { rawHeaders, connection } = head
  const selected: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (isDroppedFromResponse(name, keepsTrailer)) continue
    if (connection !== null && connection.includes(name.toLowerCase())) continue
    if (head.status === 204 && name.toLowerCase() === 'content-length') continue
    const value = rawHeaders[index + 1] ?? ''
    if (name.length === TIMING.length && isForgedTiming(name, value)) continue
    selected.push(name, value)
  }
  return selected
}

const TIMING = 'server-timing'

/** A task may tell times of its own, but not under our name. */
function isForgedTiming(name: string, value: string): boolean {
  return name.toLowerCase() === TIMING && /(?:^|,)\s*quiver\s*(?:[;,]|$)/i.test(value)
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** The caller's own id where it has the right form. */
export function acceptRequestId(written: string | string[] | undefined): string | null {
  return typeof written === 'string' && REQUEST_ID.test(written) ? written : null
}

const responseVerdicts = new Map<string, boolean>()

function isDroppedFromResponse(name: string, keepsTrailer: boolean): boolean {
  const known = responseVerdicts.get(name)
  if (known === false) return false
  const lower = name.toLowerCase()
  // What begins so is said by the platform, never by a task.
  const isDropped = RESPONSE_DROPPED.has(lower) || lower.startsWith('x-quiver-')
  if (known === undefined) {
    if (responseVerdicts.size >= VERDICTS_MAX) responseVerdicts.clear()
    responseVerdicts.set(name, isDropped)
  }
  return isDropped && !(keepsTrailer && lower === 'trailer')
}

function judge(name: string): Verdict {
  // CGI and WSGI make hyphens of underscores: `X_Forwarded_For` must not slip through.
  const lower = name.toLowerCase().replaceAll('_', '-')
  let verdict: Verdict = 'keep'
  if (ORIGIN.has(lower)) verdict = 'origin'
  if (DROPPED.has(lower) || lower.startsWith('x-quiver-')) verdict = 'drop'
  if (verdicts.size >= VERDICTS_MAX) verdicts.clear()
  verdicts.set(name, verdict)
  return verdict
}

function describeOrigin(request: IncomingMessage, origin: Origin, host: string): string {
  const { address, isSecure, isTrusted, fromTask } = origin
  const protocol = isSecure ? 'https' : 'http'
  const { headers } = request
  if (fromTask !== null) {
    return `X-Forwarded-Proto: http\r\nX-Forwarded-Host: ${host}\r\nX-Quiver-From: ${fromTask}\r\n`
  }
  const before = isTrusted ? headers['x-forwarded-for'] : undefined
  const list = before === undefined ? address : `${String(before)}, ${address}`
  let lines = `X-Forwarded-For: ${list}\r\n`
  if (!isTrusted || headers['x-forwarded-proto'] === undefined) {
    lines += `X-Forwarded-Proto: ${protocol}\r\n`
  }
  if (!isTrusted || headers['x-forwarded-host'] === undefined) {
    lines += `X-Forwarded-Host: ${host}\r\n`
  }
  if (isTrusted && headers.forwarded !== undefined) return lines
  const node = address.includes(':') ? `"[${address}]"` : address
  return `${lines}Forwarded: for=${node};host="${host}";proto=${protocol}\r\n`
}

function setOf(...lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.join(' ').split(' '))
}
