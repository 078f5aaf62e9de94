/**
 * The border: what a call may contain, checked before anything below sees it. Unknown keys are refused.
 * Types are in `resources.ts` and `endpoints.ts`; the compiler checks that these agree with them.
 */

import type { Readable } from 'node:stream'

import * as z from 'zod'

import { CODES } from '../core/error.ts'
import type { Code } from '../core/error.ts'
import type { ExecRequest } from '../drivers/driver.ts'

import type { Calls, EndpointId } from './endpoints.ts'
import { binaryConfig, digest, imageConfig, name } from './schemas-image.ts'
import * as view from './schemas-view.ts'

/** A schema for each part that a call has. */
export type CallSchemas = {
  readonly [I in EndpointId]: {
    readonly [P in keyof Calls[I]]: z.ZodType<Calls[I][P]>
  }
}

const MILLISECONDS_MAX = 3_600_000

const port = z.int().min(1).max(65_535)
const count = z.int().min(0)
const named = z.strictObject({ name })
const reference = z.string().min(1).max(200)
const referenced = z.strictObject({ reference })
const instanceId = z.string().regex(/^[a-z0-9-]{1,100}$/, 'is not an instance id')
const environment = z.record(z.string().regex(/^[^=\0]+$/, 'is not a variable name'), z.string())

const SNIPPET_LENGTH_MAX = 1024 * 1024
const SNIPPET_INPUT_LENGTH_MAX = 8 * 1024 * 1024

/** Query parameters are texts: `12`, `true`. */
const numberText = z
  .string()
  .regex(/^\d{1,15}$/, 'is not a whole number')
  .transform(Number)
const numberedCore = z.strictObject({ task: name, number: numberText })
const booleanText = z.enum(['true', 'false']).transform((text) => text === 'true')

const overrides = z.strictObject({
  args: z.array(z.string()).optional(),
  env: environment.optional(),
  memoryBytes: z.int().min(1).optional(),
  cpuMillis: z.int().min(1).optional(),
  wallTimeMs: z.int().min(1).optional(),
  isolation: z.enum(['wasm', 'sandbox', 'microvm']).optional(),
  network: z.enum(['private', 'bridge', 'none', 'host']).optional(),
  hostname: z.string().max(63).optional(),
  ip: z.string().max(15).optional(),
  mac: z.string().max(17).optional(),
  dns: z.array(z.string().max(15)).max(2).optional(),
  publish: z
    .array(z.strictObject({ address: z.string().max(64), hostPort: count.max(65_535), port }))
    .max(64)
    .optional(),
})

const deployRequest = z.strictObject({
  image: digest,
  name: name.optional(),
  config: z.string().max(64).optional(),
  overrides: overrides.optional(),
  trafficPercent: z.int().min(1).max(100).optional(),
})

const terminal = z.strictObject({ rows: count.max(65_535), columns: count.max(65_535) }).nullable()

const sharedFolder = z.strictObject({
  source: z.string().max(4096),
  target: z.string().max(4096),
  isWritable: z.boolean(),
})

const runRequest = z.strictObject({
  image: digest,
  name: name.optional(),
  config: z.string().max(64).optional(),
  overrides: overrides.optional(),
  terminal,
  hasStdin: z.boolean(),
  isDetached: z.boolean(),
  isRemovedAtEnd: z.boolean(),
  folders: z.array(sharedFolder).max(16).optional(),
})

const snippetRequest = z.strictObject({
  code: z.string().max(SNIPPET_LENGTH_MAX),
  args: z.array(z.string().max(65_536)).max(256).optional(),
  env: environment.optional(),
  input: z.string().max(SNIPPET_INPUT_LENGTH_MAX).optional(),
  memoryBytes: z
    .int()
    .min(4 * 1024 * 1024)
    .max(1024 ** 3)
    .optional(),
  timeoutMs: z.int().min(100).max(300_000).optional(),
})

const invokeRequest = z.strictObject({
  export: z.string().min(1).max(1000),
  args: z.array(z.string().max(1000)).max(1000),
})

const logQuery = z.strictObject({
  sinceMs: numberText.optional(),
  tail: numberText.optional(),
  follow: booleanText.optional(),
  previous: booleanText.optional(),
  grep: z.string().max(1000).optional(),
  requestId: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'is not a request id')
    .optional(),
})

const eventQuery = z.strictObject({
  sinceMs: numberText.optional(),
  follow: booleanText.optional(),
  task: name.optional(),
})

/** The first frame of a session. */
export const execRequest: z.ZodType<ExecRequest> = z.strictObject({
  args: z.array(z.string()).min(1),
  env: environment,
  terminal,
  isLent: z.boolean(),
})
export const attachRequest = z.strictObject({ isPrimary: z.boolean() })

/** The body of every answer that is not a success. */
export const errorBody = z.strictObject({
  code: z
    .custom<Code>((code) => typeof code === 'string' && code in CODES)
    .meta({ enum: Object.keys(CODES) }),
  reason: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  requestId: z.string(),
})

export const SCHEMAS = {
  listTasks: { output: z.array(view.task) },
  deploy: { body: deployRequest, output: view.deployResult },
  difference: { body: deployRequest, output: view.deployDifference },
  getTask: { params: named, output: view.taskDetail },
  removeTask: { params: named, output: z.null() },
  promote: { params: named, output: view.taskDetail },
  rollback: {
    params: named,
    body: z.strictObject({ revision: z.int().min(1).nullable() }),
    output: view.taskDetail,
  },
  scale: {
    params: named,
    body: z.strictObject({ instances: count.max(1000).nullable() }),
    output: view.taskDetail,
  },
  stopTask: { params: named, output: view.taskDetail },
  startTask: { params: named, output: view.taskDetail },
  restartTask: { params: named, output: view.taskDetail },
  listServices: { output: z.array(view.service) },
  getService: {
    params: named,
    query: z.strictObject({ waitMs: numberText.pipe(z.int().max(MILLISECONDS_MAX)).optional() }),
    output: view.service,
  },
  listInstances: {
    query: z.strictObject({ task: name.optional() }),
    output: z.array(view.instance),
  },
  getInstance: { params: z.strictObject({ id: instanceId }), output: view.instance },
  signalInstance: {
    params: z.strictObject({ id: instanceId }),
    body: z.strictObject({ signal: z.int().min(1).max(64) }),
    output: z.null(),
  },
  invoke: { params: named, body: invokeRequest, output: view.invokeResult },
  createRun: { body: runRequest, output: view.runResult },
  runSnippet: { body: snippetRequest, output: view.snippetResult },
  logs: { params: z.strictObject({ target: instanceId }), query: logQuery, output: view.logRecord },
  session: { params: z.strictObject({ target: instanceId }), output: z.null() },
  listCores: { query: z.strictObject({ task: name.optional() }), output: z.array(view.core) },
  readCore: { params: numberedCore, output: z.custom<Readable>() },
  removeCore: { params: numberedCore, output: z.null() },
  missing: {
    body: z.strictObject({ digests: z.array(digest).max(100_000) }),
    output: z.array(digest),
  },
  putFile: {
    params: z.strictObject({ digest }),
    output: z.strictObject({ digest, bytes: count }),
  },
  putImage: { body: imageConfig, output: view.image },
  listImages: { output: z.array(view.image) },
  getImage: { params: referenced, output: view.imageDetail },
  removeImage: { params: referenced, output: z.null() },
  collectGarbage: { output: z.strictObject({ files: count, bytes: count }) },
  putBinary: { body: binaryConfig, output: view.binary },
  resolveBinary: {
    body: referenced.extend({ isFresh: z.boolean().optional() }),
    output: view.binaryDetail,
  },
  listBinaries: { output: z.array(view.binary) },
  getBinary: { params: referenced, output: view.binaryDetail },
  removeBinary: { params: referenced, output: z.null() },
  health: { output: view.health },
  node: { output: view.node },
  configuration: { output: view.configuration },
  top: { output: view.top },
  metrics: { output: z.string() },
  events: { query: eventQuery, output: view.event },
} as const satisfies CallSchemas
