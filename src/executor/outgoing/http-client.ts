/**
 * One request over one connection, its bodies in pieces. What says where a message ends, and who sends it, is said here and
 * never by the guest; redirects are the guest's to follow.
 */

import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import { http } from '../../core/http.ts'
import type { OutgoingPieces, StreamedRequest } from '../streaming.ts'

import { AnswerBody, broke } from './answer-body.ts'

export interface ClientRequestOptions {
  readonly host: string
  /** Path and query, as sent. */
  readonly target: string
  /** In addition to the guest's own; name, value, name, value … */
  readonly headers: readonly string[]
  /** Its reason is thrown when it is aborted before the answer begins. */
  readonly signal: AbortSignal
  /** Longest pause within the answer. */
  readonly betweenBytesMs: number
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

/** A `StreamedResponse` whose body can be read as a whole, too. */
export interface Answer {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly body: AnswerBody
}

type Question = Pick<StreamedRequest, 'method' | 'rawHeaders' | 'body'>

/**
 * Resolves when the answer begins; the request's body may still be on its way.
 *
 * @param connection  ends with the exchange
 * @throws QuiverError `invalid_argument/REQUEST_INVALID`, `unavailable/TARGET_BROKE`, or what the body rejects with
 */
export async function exchangeOver(
  connection: Duplex,
  request: Question,
  { host, target, headers, signal, betweenBytesMs }: ClientRequestOptions,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const abort = (): void => {
    connection.destroy()
    reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    const outgoing = open(connection, request, [...headers], host, target)
    // It was paused behind what egress said, and the client does not resume what it did not pause.
    outgoing.on('socket', () => connection.resume())
    outgoing.on('response', resolve)
    outgoing.on('error', (cause) =>
      reject(cause instanceof QuiverError ? cause : broke(host, cause)),
    )
    outgoing.on('close', () => request.body.close())
    void sendBody(outgoing, request.body)
    const answer = await promise
    const body = new AnswerBody(answer, connection, host, betweenBytesMs)
    return { status: answer.statusCode ?? 502, rawHeaders: selectHeaders(answer.rawHeaders), body }
  } catch (thrown) {
    connection.destroy()
    request.body.close()
    throw signal.aborted ? signal.reason : thrown
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function open(
  connection: Duplex,
  { method, rawHeaders, body }: Question,
  headers: readonly string[],
  host: string,
  target: string,
): ClientRequest {
  const own = ['Host', host, 'Connection', 'close', ...headers, ...framing(method, body)]
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
    const message = `the request is not HTTP: ${why}`
    throw new QuiverError('invalid_argument', 'REQUEST_INVALID', message, { cause })
  }
}

/** A body that is complete, or whose length was declared, has a length; any other comes in chunks. */
function framing(method: string, { length, trailers }: OutgoingPieces): readonly string[] {
  if (length === null || trailers.length > 0) return ['Transfer-Encoding', 'chunked']
  return length > 0 || !BODILESS.has(method) ? ['Content-Length', String(length)] : []
}

/** Never rejects: what fails breaks the request. */
async function sendBody(outgoing: ClientRequest, body: OutgoingPieces): Promise<void> {
  try {
    // Who waits for an answer before writing any body gets it.
    if (body.length === null) outgoing.flushHeaders()
    for (let piece = await body.next(); piece !== null; piece = await body.next()) {
      if (outgoing.destroyed) return
      if (!outgoing.write(piece)) await untilDrained(outgoing)
    }
    if (body.trailers.length > 0) outgoing.addTrailers(pairsOf(keepHeaders(body.trailers)))
    outgoing.end()
  } catch (thrown) {
    outgoing.destroy(thrown instanceof Error ? thrown : new Error(String(thrown)))
  }
}

async function untilDrained(outgoing: ClientRequest): Promise<void> {
  const settled = new AbortController()
  const { signal } = settled
  try {
    await Promise.race([once(outgoing, 'drain', { signal }), once(outgoing, 'close', { signal })])
  } finally {
    settled.abort()
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

function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    pairs.push([rawHeaders[index] ?? '', rawHeaders[index + 1] ?? ''])
  }
  return pairs
}
