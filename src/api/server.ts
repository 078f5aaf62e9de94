/**
 * The control API over HTTP: listens, lets in, validates, calls the service, answers. What the calls mean is in
 * `service.ts`; one table (`endpoints.ts`) says which there are.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { ListenOptions } from 'node:net'
import { text as readText } from 'node:stream/consumers'

import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { Context } from 'hono'
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

interface Bindings {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly access: Access
}
type ApiContext = Context<{ Bindings: Bindings; Variables: { requestId: string } }>

/** Resolves when all listeners listen. Disposing it ends requests in flight. */
export async function openApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const app = buildApp(options)
  const sessions = new SessionServer(options.service)
  const servers = options.listeners.map(({ access }) => {
    const listener = getRequestListener(
      (request, environment) => app.fetch(request, { ...environment, access }),
      { overrideGlobalObjects: false },
    )
    // Uploads of large files and logs that are followed take as long as they take.
    const server = http.createServer(
      { requestTimeout: 0, headersTimeout: 10_000 },
      (request, answer) => {
        void listener(request, answer)
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

function buildApp({ service, onFailure }: ApiServerOptions) {
  const app = new Hono<{ Bindings: Bindings; Variables: { requestId: string } }>()
  app.use(async (context, next) => {
    const requestId = requestIdOf(context.req.header('x-request-id'))
    context.set('requestId', requestId)
    context.header('x-request-id', requestId)
    checkAccess(context.env.access, context.env.incoming)
    await next()
  })
  for (const id of Object.keys(HANDLERS).filter(isHandled)) {
    const endpoint: Endpoint = ENDPOINTS[id]
    app.on(endpoint.method, endpoint.path, (context) => handle(id, service, context))
  }
  app.notFound((context) => {
    throw new QuiverError(
      'not_found',
      'ENDPOINT_NOT_FOUND',
      `there is no ${context.req.method} ${context.req.path}`,
      { hint: 'The calls are listed in docs/reference/openapi.json.' },
    )
  })
  app.onError((thrown, context) => {
    const error = QuiverError.from(thrown)
    const requestId = context.get('requestId')
    if (error.code === 'internal') onFailure(error, requestId)
    if (thrown instanceof AssertionFailed) crash(thrown)
    const headers = { 'content-type': 'application/json', 'x-request-id': requestId }
    const body = JSON.stringify({ ...buildErrorBody(error), requestId })
    return new Response(body, { status: statusOf(error), headers })
  })
  return app
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

function isSequence(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

async function handle(
  id: keyof typeof HANDLERS,
  service: ControlService,
  context: ApiContext,
): Promise<Response> {
  const endpoint: Endpoint = ENDPOINTS[id]
  const { incoming, outgoing } = context.env
  const controller = new AbortController()
  outgoing.once('close', () => {
    controller.abort(new QuiverError('canceled', 'CALLER_GONE', 'the caller has gone'))
  })
  const input = await validate(id, context)
  const call = { ...input, signal: controller.signal, content: incoming }
  // Safe because `validate` has made the input from the schemas of this very endpoint.
  const result: unknown = Reflect.apply(HANDLERS[id], undefined, [service, call])
  if (isSequence(result)) {
    const lines = await buildLines(result, controller)
    return context.body(lines, 200, { 'content-type': 'application/x-ndjson' })
  }
  const output = await result
  if (endpoint.kind === 'text') return context.text(String(output))
  return context.body(JSON.stringify(output), 200, { 'content-type': 'application/json' })
}

/** @throws QuiverError `invalid_argument/REQUEST_INVALID` naming the field */
async function validate(id: EndpointId, context: ApiContext): Promise<Record<string, unknown>> {
  const schemas: Readonly<Record<string, z.ZodType>> = SCHEMAS[id]
  const parts: [part: string, value: () => unknown][] = [
    ['params', () => context.req.param()],
    ['query', () => context.req.query()],
    ['body', () => readBody(context.env.incoming)],
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
