/** docs/reference/openapi.json: the table of calls as an OpenAPI 3.1 document. */

import * as z from 'zod'

import { ENDPOINTS } from './endpoints.ts'
import type { Endpoint } from './endpoints.ts'
import { SCHEMAS, errorBody } from './schemas.ts'

type JsonSchema = z.core.JSONSchema.BaseSchema
/** By id: what `components.schemas` holds in the end. */
type Shared = Record<string, JsonSchema>

const OPENAPI_VERSION = '3.1.0'

export function buildOpenapi(): string {
  const shared: Shared = {}
  shared['Error'] = toJson(errorBody, shared)
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [id, endpoint] of listEndpoints()) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}')
    const methods = (paths[path] ??= {})
    methods[endpoint.method.toLowerCase()] = buildOperation(id, endpoint, shared)
  }
  const document = {
    openapi: OPENAPI_VERSION,
    info: {
      title: 'Quiver control API',
      version: 'v1',
      description:
        'Served on a unix socket, whose mode is the permission, and on TCP for bearers of the token. `x-request-id` is kept or made, and is in every answer.',
    },
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: shared,
    },
  }
  const text = JSON.stringify(document, null, 2)
  return `${text.replaceAll('#/$defs/', '#/components/schemas/')}\n`
}

function listEndpoints(): readonly [id: string, endpoint: Endpoint][] {
  return Object.entries(ENDPOINTS)
}

interface Parts {
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  readonly output: z.ZodType
}

function partsOf(id: string): Parts | undefined {
  const all: readonly [string, Parts][] = Object.entries(SCHEMAS)
  return all.find(([key]) => key === id)?.[1]
}

function buildOperation(id: string, endpoint: Endpoint, shared: Shared): object {
  const parts = partsOf(id)
  const parameters = [
    ...buildParameters('path', parts?.params, shared),
    ...buildParameters('query', parts?.query, shared),
  ]
  return {
    operationId: id,
    tags: [endpoint.noun],
    summary: endpoint.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...buildBody(endpoint, parts?.body, shared),
    responses: {
      ...buildSuccess(endpoint, parts?.output, shared),
      default: {
        description: 'What went wrong; the status follows from the code.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

function buildParameters(
  place: 'path' | 'query',
  schema: z.ZodType | undefined,
  shared: Shared,
): readonly object[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = toJson(schema, shared)
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }))
}

function buildBody({ kind }: Endpoint, schema: z.ZodType | undefined, shared: Shared): object {
  if (kind === 'upload') return { requestBody: { required: true, content: BYTES } }
  if (schema === undefined) return {}
  const content = { 'application/json': { schema: toJson(schema, shared) } }
  return { requestBody: { required: true, content } }
}

const BYTES = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }

function buildSuccess({ kind }: Endpoint, output: z.ZodType | undefined, shared: Shared): object {
  const schema = output === undefined ? {} : toJson(output, shared)
  if (kind === 'session') {
    const description = 'The connection carries frames from now on: see docs/internals/ainit.md.'
    return { 101: { description } }
  }
  if (kind === 'download') return { 200: { description: 'Bytes', content: BYTES } }
  if (kind === 'text') {
    return { 200: { description: 'Text', content: { 'text/plain': { schema } } } }
  }
  if (kind === 'lines') {
    const description = 'One JSON value a line; a last line `{"error": …}` when it fails on the way'
    return { 200: { description, content: { 'application/x-ndjson': { schema } } } }
  }
  return { 200: { description: 'Done', content: { 'application/json': { schema } } } }
}

/** As it travels: what a query parameter is before it is parsed. Schemas with an id are kept apart, once each. */
function toJson(schema: z.ZodType, shared: Shared): JsonSchema {
  const whole = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const { $defs: definitions = {}, id, ...own } = whole
  delete own.$schema
  for (const [name, definition] of Object.entries(definitions)) {
    shared[name] = withoutId(definition)
  }
  if (typeof id !== 'string') return own
  shared[id] = own
  return { $ref: `#/$defs/${id}` }
}

function withoutId({ id: _id, ...rest }: JsonSchema): JsonSchema {
  return rest
}
