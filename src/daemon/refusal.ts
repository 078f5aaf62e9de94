/**
 * A control process that cannot start says why on the API's own socket, so that whoever asks the node hears it instead
 * of waiting; and the side of `quiver up` that asks.
 */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'

import { CODES, QuiverError } from '../core/error.ts'
import { http } from '../core/http.ts'

/** Then it is worth another try: a disk may have room again. */
const TRY_AGAIN_MS = 5000

/**
 * Answers every request with the error, and resolves when it is time to try again or the node is told to end.
 *
 * @param fd  the listening socket of the API
 */
export async function refuseRequests(
  fd: number,
  error: QuiverError,
  told: Promise<unknown>,
): Promise<void> {
  const { code, reason, message, hint } = error
  const body = JSON.stringify({ code, reason, message, hint, requestId: 'none' })
  const server = http.createServer((_request, response) => {
    response.writeHead(CODES[code].http, { 'content-type': 'application/json' }).end(body)
  })
  server.listen({ fd })
  await once(server, 'listening')
  const { promise: later, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, TRY_AGAIN_MS)
  await Promise.race([later, told])
  clearTimeout(timer)
  server.closeAllConnections()
}

/**
 * Resolves when control answers.
 *
 * @param socketPath  of the API
 * @throws QuiverError what it cannot start for; whatever `signal` aborts with
 */
export async function awaitControl(socketPath: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = http.request({ socketPath, path: '/v1/health', agent: false, signal })
  outgoing.on('response', resolve).on('error', reject).end()
  const answer = await promise
  if (answer.statusCode === 200) {
    answer.resume()
    return
  }
  const body: unknown = await json(answer)
  throw decodeError(body)
}

function decodeError(body: unknown): QuiverError {
  const fields: Readonly<Record<string, unknown>> = Object(body)
  const { code, reason, message, hint } = fields
  if (!isCode(code) || typeof reason !== 'string' || typeof message !== 'string') {
    return new QuiverError('internal', 'UNEXPECTED', 'control answered with something else')
  }
  return new QuiverError(code, reason, message, typeof hint === 'string' ? { hint } : {})
}

function isCode(text: unknown): text is keyof typeof CODES {
  return typeof text === 'string' && Object.hasOwn(CODES, text)
}
