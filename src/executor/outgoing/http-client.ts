/**
 * One request over one connection, with its answer as a whole. What says where a message ends, and who sends it, is said here
 * and never by the guest; redirects are the guest's to follow.
 */

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import { http } from '../../core/http.ts'
import type { IncomingResponse, OutgoingRequest } from '../guest-host.ts'

export interface ClientRequestOptions {
  readonly host: string
  /** Path and query, as sent. */
  readonly target: string
  /** In addition to the guest's own; name, value, name, value … */
  readonly headers: readonly string[]
  /** Its reason is thrown when it is aborted first. */
  readonly signal: AbortSignal
}

/** Of one hop, or said anew; and what tells where a request came from. */
const DROPPED = new Set(
  [
    'connection keep-alive proxy-connection proxy-authorization te trailer transfer-encoding upgrade',
    'host content-length expect x-request-id quiver-call-chain',
  ].flatMap((line) => line.split(' ')),
)
const ANSWER_DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/**
 * @param connection  ends with the answer
 * @throws QuiverError `invalid_argument/REQUEST_INVALID`, `resource_exhausted/ANSWER_TOO_LARGE`, `unavailable/TARGET_BROKE`
 */
export async function exchangeOver(
  connection: Duplex,
  request: OutgoingRequest,
  { host, target, headers, signal }: ClientRequestOptions,
): Promise<IncomingResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const abort = (): void => {
    connection.destroy()
    reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    const outgoing = open(connection, request, { host, target, headers, signal })
    // It was paused behind what egress said, and the client does not resume what it did not pause.
    outgoing.on('socket', () => connection.resume())
    outgoing.on('response', resolve)
    outgoing.on('error', (cause) => reject(broke(host, cause)))
    outgoing.end(request.body)
    const answer = await promise
    const body = await readBody(answer, request.answerBytesMax, host)
    return { status: answer.statusCode ?? 502, rawHeaders: selectHeaders(answer.rawHeaders), body }
  } catch (thrown) {
    throw signal.aborted ? signal.reason : thrown
  } finally {
    signal.removeEventListener('abort', abort)
    connection.destroy()
  }
}

function open(
  connection: Duplex,
  { method, rawHeaders, body }: OutgoingRequest,
  { host, target, headers }: ClientRequestOptions,
) {
  const own = ['Host', host, 'Connection', 'close', ...headers]
  const hasLength = body.length > 0 || !BODILESS.has(method)
  if (hasLength) own.push('Content-Length', String(body.length))
  try {
    return http.request({
      createConnection: () => connection,
      method,
      path: target,
      setHost: false,
      insecureHTTPParser: false,
      headers: [...own, ...keepHeaders(rawHeaders)],
    })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new QuiverError(
      'invalid_argument',
      'REQUEST_INVALID',
      `the request is not HTTP: ${why}`,
      {
        cause,
      },
    )
  }
}

function keepHeaders(rawHeaders: readonly string[]): readonly string[] {
  return select(rawHeaders, (name) => {
    const plain = name.replaceAll('_', '-')
    return !DROPPED.has(plain) && !plain.startsWith('x-quiver-')
  })
}

function selectHeaders(rawHeaders: readonly string[]): readonly string[] {
  return select(rawHeaders, (name) => !ANSWER_DROPPED.has(name))
}

function select(rawHeaders: readonly string[], isKept: (name: string) => boolean): string[] {
  return rawHeaders.filter((_, index) =>
    isKept((rawHeaders[index - (index % 2)] ?? '').toLowerCase()),
  )
}

async function readBody(
  answer: IncomingMessage,
  bytesMax: number,
  host: string,
): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let total = 0
  try {
    for await (const part of answer) {
      total += part.length
      if (total > bytesMax) throw tooLarge(host, bytesMax)
      parts.push(part)
    }
  } catch (thrown) {
    throw thrown instanceof QuiverError ? thrown : broke(host, thrown)
  }
  const body = new Uint8Array(total)
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return body
}

function tooLarge(host: string, bytesMax: number): QuiverError {
  const message = `the answer of ${host} is longer than the ${bytesMax} bytes that are left for it`
  return new QuiverError('resource_exhausted', 'ANSWER_TOO_LARGE', message, {
    hint: 'Free buffers that are no longer needed, or raise limits.body or limits.memory.',
  })
}

function broke(host: string, cause: unknown): QuiverError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `${host} broke the connection: ${why}`
  return new QuiverError('unavailable', 'TARGET_BROKE', message, { cause })
}
