/**
 * Answers that the proxy gives by itself: always a JSON body that says what, why and what to do, never log lines.
 *
 * The status follows the code, with the three differences of a gateway: what an instance did wrong is 502, what the
 * node has no room for is 503, and what took too long is 504.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { CODES } from '../core/error.ts'
import { http } from '../core/http.ts'
import type { ErrorBody } from '../core/link.ts'

import { formatHead } from './answer.ts'

export interface Failure {
  readonly status: number
  readonly error: ErrorBody
  /** Seconds, for `Retry-After`. */
  readonly retryAfterS?: number
  readonly headers?: readonly string[]
}

const RETRY_AFTER_S = 1

/** A request that is wrong, or too much: 4xx by its own status. */
export function buildRefusal(
  status: number,
  reason: string,
  message: string,
  hint: string,
  headers: readonly string[] = [],
): Failure {
  const code =
    status === 404 ? 'not_found' : status === 413 ? 'resource_exhausted' : 'invalid_argument'
  return { status, error: { code, reason, message, hint }, headers }
}

/** An instance that did something wrong: 502. */
export function buildBadGateway(reason: string, message: string, hint: string): Failure {
  const error: ErrorBody = { code: 'unavailable', reason, message, hint }
  return { status: 502, error, retryAfterS: RETRY_AFTER_S }
}

/** What control says, or what the queue decided. */
export function buildUnavailable(error: ErrorBody, retryAfterS: number = RETRY_AFTER_S): Failure {
  return { status: gatewayStatus(error.code), error, retryAfterS }
}

function gatewayStatus(code: ErrorBody['code']): number {
  if (code === 'deadline_exceeded') return 504
  if (code === 'unavailable' || code === 'resource_exhausted') return 503
  const status = CODES[code].http
  // Whatever else stops a start is no fault of the request: only a lookup may say so.
  return code === 'not_found' ? status : 502
}

/**
 * Writes the whole answer. The head must not have been sent.
 *
 * @param closes  nothing more is read from this connection: it cannot be trusted, or the body is not wanted
 */
export function sendFailure(
  response: ServerResponse,
  failure: Failure,
  requestId: string,
  closes = false,
): void {
  const body = formatBody(failure, requestId)
  const headers = [...formatHeaders(failure, body, requestId)]
  const hasUnread = isUnread(response.req)
  if (hasUnread || closes) headers.push('Connection', 'close')
  if (hasUnread) lingerOnClose(response)
  response.writeHead(failure.status, headers)
  response.end(body)
}

/** The same for a connection on which no request could be parsed; it is closed. */
export function sendRawFailure(socket: Duplex, failure: Failure, requestId: string): void {
  const body = formatBody(failure, requestId)
  const firstLine = `HTTP/1.1 ${failure.status} ${http.STATUS_CODES[failure.status] ?? ''}`
  const headers = [...formatHeaders(failure, body, requestId), 'Connection', 'close']
  socket.on('error', () => socket.destroy())
  socket.end(formatHead(firstLine, headers) + body)
  closeAfterLingering(socket)
}

function formatBody(failure: Failure, requestId: string): string {
  const { code, reason, message, hint } = failure.error
  return `${JSON.stringify({ code, reason, message, hint, requestId, component: 'proxy' })}\n`
}

function formatHeaders(failure: Failure, body: string, requestId: string): readonly string[] {
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  headers.push('Content-Length', String(Buffer.byteLength(body)), 'X-Request-Id', requestId)
  headers.push(...(failure.headers ?? []))
  if (failure.retryAfterS !== undefined) headers.push('Retry-After', String(failure.retryAfterS))
  return headers
}

function isUnread(request: IncomingMessage): boolean {
  return !request.complete && !request.readableEnded
}

const LINGER_MS = 2000

/**
 * A body that nobody reads would make the kernel answer the client with a reset, and the answer would be lost on the
 * way. So the rest is read and thrown away for a moment while the answer travels.
 */
function lingerOnClose(response: ServerResponse): void {
  const { req: request } = response
  const { socket } = request
  request.resume()
  socket.destroySoon = () => {
    socket.end()
    closeAfterLingering(socket)
  }
}

function closeAfterLingering(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.once('end', () => socket.destroy())
  socket.resume()
}
