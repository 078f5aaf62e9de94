/**
 * The control API over HTTP: listens, lets in, validates, calls the service, answers. What the calls mean is in
 * `service.ts`; one table (`endpoints.ts`) says which there are.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { ListenOptions } from 'node:net'
import { Readable } from 'node:stream'
import { text as readText } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

import type * as z from 'zod'

import { AssertionFailed } from '../core/assert.ts'
import { QuiverError } from '../core/error.ts'
import { http } from '../core/http.ts'

import { checkAccess } from './access.ts'
import type { Access } from './access.ts'
import { buildErrorBody, requestIdOf, statusOf } from './answer.ts'
import { ENDPOINTS } from './endpoints.ts'
import type { Endpoint, EndpointId } from './endpoints.ts'
import { buildLines } from './lines.ts'
import { parsePart } from './parse.ts'
import { Router } from './router.ts'
import type { Matched } from './router.ts'
import { imageHandlers } from './routes/image.ts'
import { instanceHandlers } from './routes/instance.ts'
import { nodeHandlers } from './routes/node.ts'
import { taskHandlers } from './routes/task.ts'
import { SCHEMAS } from './schemas.ts'
import type { ControlService } from './service.ts'
import { SessionServer } from './session.ts'

const BODY_BYTES_MAX = 64 * 1024 * 1024

export interface ApiListener {
  /** `{ fd }` for a socket that is bound already, `{ path }`, or `{ host, port }`. */
  readonly listen: ListenOptions & { readonly fd?: number }
  readonly access: Access
}

export interface ApiServerOptions {
  readonly service: ControlService
  readonly listeners: readonly ApiListener[]
  /** Told of failures that are nobody's input: `internal` errors, with their request id. */
  readonly onFailure: (error: QuiverError, requestId: string) => void
}

export interface ApiServer extends AsyncDisposable {
  /** In the order of the listeners: as `server.address()` gives them. */
  readonly addresses: readonly ReturnType<Server['address']>[]
}

/** One request and its answer. */
interface Exchange {
  readonly access: Access
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
}

/** Resolves when all listeners listen. Disposing it ends requests in flight. */
export async function openApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const sessions = new SessionServer(options.service)
  const servers = options.listeners.map(({ access }) => {
    // Uploads of large files and logs that are followed take as long as they take.
    const server = http.createServer(
      { requestTimeout: 0, headersTimeout: 10_000 },
      (request, response) => {
        const requestId = requestIdOf(request.headers['x-request-id'])
        response.setHeader('x-request-id', requestId)
        void serve(options, { access, request, response, requestId })
      },
    )
    server.on('upgrade', (request, socket, head) => {
      sessions.accept(access, request, socket, head)
    })
    return server
  })
  const api: ApiServer = {
    get addresses() {
      return servers.map((server) => server.address())
    },
    [Symbol.asyncDispose]: async () => {
      sessions.close()
      await Promise.all(servers.map(closeServer))
    },
  }
  try {
    await Promise.all(
      servers.map((server, index) => listen(server, options.listeners[index]?.listen ?? {})),
    )
  } catch (error) {
    await api[Symbol.asyncDispose]()
    throw error
  }
  return api
}

/** Never rejects: whatever goes wrong is the answer. */
async function serve(options: ApiServerOptions, exchange: Exchange): Promise<void> {
  const { access, request, response } = exchange
  try {
    checkAccess(access, request)
    const { method = '', url = '' } = request
    const matched = ROUTER.match(method, url)
    if (matched === undefined) throw endpointNotFound(method, url)
    await call(options.service, matched, request, response)
  } catch (thrown) {
    refuse(options, exchange, thrown)
  }
}

function refuse(
  { onFailure }: ApiServerOptions,
  { response, requestId }: Exchange,
  thrown: unknown,
): void {
  const error = QuiverError.from(thrown)
  if (error.code === 'internal') onFailure(error, requestId)
  if (thrown instanceof AssertionFailed) crash(thrown)
  const body = JSON.stringify({ ...buildErrorBody(error), requestId })
  send(response, statusOf(error), 'application/json', body)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) }
  response.writeHead(status, headers).end(body)
}

function endpointNotFound(method: string, url: string): QuiverError {
  const message = `there is no ${method} ${url.replace(/\?.*/s, '')}`
  return new QuiverError('not_found', 'ENDPOINT_NOT_FOUND', message, {
    hint: 'The calls are listed in docs/reference/openapi.json.',
  })
}

/** A failed assertion ends the process, also when it failed on behalf of a caller. */
function crash(bug: AssertionFailed): void {
  setImmediate(() => {
    throw bug
  })
}

const HANDLERS = { ...taskHandlers, ...instanceHandlers, ...imageHandlers, ...nodeHandlers }

function isHandled(id: string): id is keyof typeof HANDLERS {
  return id in HANDLERS
}

const ROUTER = new Router(Object.keys(HANDLERS).filter(isHandled))

function isSequence(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

async function call(
  service: ControlService,
  matched: Matched<keyof typeof HANDLERS>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { id } = matched
  const { kind }: Endpoint = ENDPOINTS[id]
  const controller = new AbortController()
  response.once('close', () => {
    controller.abort(new QuiverError('canceled', 'CALLER_GONE', 'the caller has gone'))
  })
  const input = await validate(id, matched, request)
  const given = { ...input, signal: controller.signal, content: request }
  // Safe because `validate` has made the input from the schemas of this very endpoint.
  const result: unknown = Reflect.apply(HANDLERS[id], undefined, [service, given])
  if (isSequence(result)) return await stream(await buildLines(result), response)
  const output = await result
  if (output instanceof Readable) return await sendBytes(output, response)
  if (kind === 'text') return send(response, 200, 'text/plain; charset=UTF-8', String(output))
  send(response, 200, 'application/json', JSON.stringify(output))
}

/** No faster than the caller reads. */
async function stream(lines: AsyncIterable<string>, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders()
  // Lines never throw: what fails is the connection, and then there is nobody to tell.
  await pipeline(Readable.from(lines), response).catch(() => {})
}

/** What fails on the way cuts the connection: the receiver sees that it is not whole. */
async function sendBytes(content: Readable, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  await pipeline(content, response).catch(() => {})
}

/** @throws QuiverError `invalid_argument/REQUEST_INVALID` naming the field */
async function validate(
  id: EndpointId,
  { params, query }: Matched<EndpointId>,
  request: IncomingMessage,
): Promise<Record<string, unknown>> {
  const schemas: Readonly<Record<string, z.ZodType>> = SCHEMAS[id]
  const parts: [part: string, value: () => unknown][] = [
    ['params', () => params],
    ['query', () => query],
    ['body', () => readBody(request)],
  ]
  const input: Record<string, unknown> = {}
  for (const [part, value] of parts) {
    const schema = schemas[part]
    if (schema === undefined) continue
    input[part] = parsePart(schema, await value(), part)
  }
  return input
}

async function readBody(incoming: IncomingMessage): Promise<unknown> {
  if (!/^application\/json\b/i.test(incoming.headers['content-type'] ?? '')) {
    throw new QuiverError('invalid_argument', 'CONTENT_TYPE_INVALID', 'the body is not JSON', {
      hint: 'Send "content-type: application/json".',
    })
  }
  try {
    return JSON.parse(await readText(limited(incoming)))
  } catch (error) {
    if (error instanceof QuiverError) throw error
    throw new QuiverError('invalid_argument', 'BODY_INVALID', 'the body is not valid JSON', {
      cause: error,
    })
  }
}

async function* limited(incoming: IncomingMessage): AsyncGenerator<Buffer> {
  const chunks: AsyncIterable<Buffer> = incoming
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) {
      throw new QuiverError('invalid_argument', 'BODY_TOO_LARGE', 'the body is too large', {
        hint: `A body holds at most ${BODY_BYTES_MAX} bytes; files are sent one by one.`,
      })
    }
    yield chunk
  }
}

async function listen(server: Server, options: ListenOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(options, resolve)
  await promise
  server.off('error', reject)
}

async function closeServer(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeAllConnections()
  await promise
}
