/** Schemas of what the API answers, for its document and its tests; answers are not checked at run time. */

import * as z from 'zod'

import { CODES } from '../core/error.ts'
import type { Code } from '../core/error.ts'
import { EXIT_REASONS, PHASES } from '../core/instance.ts'
import type { ExitReason } from '../core/instance.ts'

import type * as resource from './resources.ts'
import { binaryConfig, digest, imageConfig, taskSpec } from './schemas-image.ts'

const count = z.int().min(0)
const timeMs = z.number().min(0)
const texts = z.array(z.string())
const isolation = z.enum(['wasm', 'sandbox', 'microvm'])
const instanceState = z.enum(['prepared', 'starting', 'running', 'paused', 'exited', 'failed'])
const space = z.strictObject({ totalBytes: count, availableBytes: count })
const cpu = z.strictObject({ cores: z.int().min(1), usedPercent: z.number().min(0) })
const timing = z.strictObject({ name: z.string(), ms: timeMs })

const code = z
  .custom<Code>((text) => typeof text === 'string' && text in CODES)
  .meta({ type: 'string', enum: Object.keys(CODES) })
const exitReason = z
  .custom<ExitReason>((text) => typeof text === 'string' && text in EXIT_REASONS)
  .meta({ type: 'string', enum: Object.keys(EXIT_REASONS) })

const error = z.strictObject({
  code,
  reason: z.string(),
  message: z.string(),
  hint: z.string().exactOptional(),
})

const taskError = z
  .strictObject({
    ...error.shape,
    atMs: timeMs,
    revision: count,
    instance: z.string().nullable(),
    logTail: texts,
  })
  .meta({ id: 'TaskError' }) satisfies z.ZodType<resource.TaskErrorView>

const publish = z
  .strictObject({
    address: z.string(),
    hostPort: count,
    port: count,
    error: z.string().nullable(),
  })
  .meta({ id: 'Publish' }) satisfies z.ZodType<resource.PublishView>

const address = z
  .strictObject({ ip: z.string(), prefixBits: count, mac: z.string(), hostname: z.string() })
  .meta({ id: 'Address' }) satisfies z.ZodType<resource.AddressView>

export const task = z
  .strictObject({
    name: z.string(),
    state: z.enum(['idle', 'starting', 'running', 'paused', 'stopped', 'failing', 'exited']),
    desired: z.enum(['on', 'stopped']),
    revision: count,
    image: digest,
    runtime: z.string(),
    isolation,
    urls: texts,
    traffic: z.array(z.strictObject({ revision: count, percent: z.number().min(0).max(100) })),
    instancesWanted: count.nullable(),
    instancesLive: count,
    instancesReady: count,
    memoryBytes: count,
    requests: count,
    createdAtMs: timeMs,
    deployedAtMs: timeMs,
    lastError: taskError.nullable(),
  })
  .meta({ id: 'Task' }) satisfies z.ZodType<resource.TaskView>

const usage = z
  .strictObject({
    memoryBytes: count,
    memoryBytesMax: count,
    cpuNs: timeMs,
    pids: count,
    oomKills: count,
    pidsRefused: count,
  })
  .meta({ id: 'Usage' })

const exit = z
  .strictObject({
    status: z.int().min(0).max(255).nullable(),
    signal: z.int().nullable(),
    isCoreDumped: z.boolean(),
    reason: exitReason,
    exitedAtMs: timeMs,
  })
  .meta({ id: 'Exit' })

export const instance = z
  .strictObject({
    id: z.string(),
    task: z.string(),
    revision: count,
    state: instanceState,
    isRun: z.boolean(),
    startKind: z.enum(['cold', 'resumed', 'warm', 'pooled', 'restored']).nullable(),
    createdAtMs: timeMs,
    address: address.nullable(),
    phases: z.array(
      z.strictObject({
        name: z.enum(PHASES),
        startMs: timeMs,
        durationMs: timeMs,
      }),
    ),
    usage: usage.nullable(),
    inFlight: count,
    requests: count,
    exit: exit.nullable(),
    exitText: z.string().nullable(),
    error: error.nullable(),
  })
  .meta({ id: 'Instance' }) satisfies z.ZodType<resource.InstanceView>

const coreModule = z
  .strictObject({ path: z.string(), buildId: z.string().nullable() })
  .meta({ id: 'CoreModule' })

export const core = z
  .strictObject({
    task: z.string(),
    number: count,
    revision: count,
    instance: z.string(),
    atMs: timeMs,
    pid: count.nullable(),
    signal: count.nullable(),
    command: z.string(),
    program: coreModule.nullable(),
    modules: z.array(coreModule),
    bytes: count,
    storedBytes: count,
    isTruncated: z.boolean(),
  })
  .meta({ id: 'Core' }) satisfies z.ZodType<resource.CoreView>

const revision = z
  .strictObject({
    number: count,
    image: digest,
    runtime: z.string(),
    percent: z.number().min(0).max(100),
    instancesLive: count,
    spec: taskSpec,
    createdAtMs: timeMs,
  })
  .meta({ id: 'Revision' }) satisfies z.ZodType<resource.RevisionView>

const counters = z
  .strictObject({
    requests: count,
    statuses: z.record(z.string(), count),
    bytesIn: count,
    bytesOut: count,
    starts: z.record(z.string(), count),
  })
  .meta({ id: 'Counters' })

export const taskDetail = z
  .strictObject({
    ...task.shape,
    revisions: z.array(revision),
    routes: texts,
    publish: z.array(publish),
    addresses: z.array(address),
    instances: z.array(instance),
    counters: counters.nullable(),
    errors: z.array(taskError),
    backOffUntilMs: timeMs.nullable(),
  })
  .meta({ id: 'TaskDetail' }) satisfies z.ZodType<resource.TaskDetail>

export const deployResult = z.strictObject({
  task: z.string(),
  revision: count,
  image: digest,
  imageBytes: count,
  urls: texts,
  publish: z.array(publish),
  addresses: z.array(address),
  isUnchanged: z.boolean(),
  isNew: z.boolean(),
  timings: z.array(timing),
}) satisfies z.ZodType<resource.DeployResult>

export const deployDifference = z.strictObject({
  task: z.string(),
  isNew: z.boolean(),
  isUnchanged: z.boolean(),
  revision: count.nullable(),
  addresses: z.array(address),
  changes: z.array(
    z.strictObject({
      path: z.string(),
      before: z.string().nullable(),
      after: z.string().nullable(),
    }),
  ),
  files: z.array(
    z.strictObject({ path: z.string(), change: z.enum(['added', 'changed', 'removed']) }),
  ),
}) satisfies z.ZodType<resource.DeployDifference>

export const runResult = z.strictObject({
  instance: z.string(),
  task: z.string(),
  urls: texts,
  publish: z.array(publish),
  addresses: z.array(address),
}) satisfies z.ZodType<resource.RunResult>

export const snippetResult = z.strictObject({
  stdout: z.string(),
  stderr: z.string(),
  isTruncated: z.boolean(),
  status: count.nullable(),
  reason: z.string(),
  durationMs: z.number().min(0),
}) satisfies z.ZodType<resource.SnippetResult>

export const invokeResult = z.strictObject({
  instance: z.string(),
  value: z.string().nullable(),
  output: z.strictObject({ status: count, headers: texts, body: z.string() }).nullable(),
}) satisfies z.ZodType<resource.InvokeResult>

export const logRecord = z.strictObject({
  atMs: timeMs,
  task: z.string(),
  instance: z.string(),
  stream: z.enum(['stdout', 'stderr', 'quiver']),
  text: z.string(),
}) satisfies z.ZodType<resource.LogRecord>

export const event = z.strictObject({
  sequence: count,
  atMs: timeMs,
  type: z.string(),
  task: z.string().nullable(),
  revision: count.nullable(),
  instance: z.string().nullable(),
  reason: z.string().nullable(),
  message: z.string(),
}) satisfies z.ZodType<resource.EventView>

export const top = z.strictObject({
  atMs: timeMs,
  cpu,
  memory: space,
  instances: z.array(
    z.strictObject({
      id: z.string(),
      task: z.string(),
      state: instanceState,
      cpuPercent: z.number().min(0),
      memoryBytes: count,
      memoryBytesMax: count,
      pids: count,
      inFlight: count,
      requests: count,
    }),
  ),
}) satisfies z.ZodType<resource.TopView>

export const image = z
  .strictObject({
    digest,
    name: z.string(),
    version: z.string().nullable(),
    runtime: z.string(),
    binary: digest,
    bytes: count,
    fileCount: count,
    usedBy: texts,
    createdAtMs: timeMs,
  })
  .meta({ id: 'Image' }) satisfies z.ZodType<resource.ImageView>

export const imageDetail = z
  .strictObject({
    ...image.shape,
    config: imageConfig,
  })
  .meta({ id: 'ImageDetail' }) satisfies z.ZodType<resource.ImageDetail>

export const binary = z
  .strictObject({
    digest,
    name: z.string(),
    version: z.string(),
    platform: z.string(),
    bytes: count,
    fileCount: count,
    usedBy: texts,
    createdAtMs: timeMs,
  })
  .meta({ id: 'Binary' }) satisfies z.ZodType<resource.BinaryView>

const signed = { signature: z.string() }
const moduleView = z.strictObject({
  kind: z.string(),
  entry: z.string().nullable(),
  exports: z.array(z.strictObject({ name: z.string(), ...signed })),
  exportCount: count,
  links: z.array(z.strictObject({ task: z.string(), function: z.string(), ...signed })),
  producers: texts,
  memoryBytes: count,
}) satisfies z.ZodType<resource.ModuleView>

export const binaryDetail = z
  .strictObject({
    ...binary.shape,
    config: binaryConfig,
    module: moduleView.nullable().optional(),
  })
  .meta({ id: 'BinaryDetail' }) satisfies z.ZodType<resource.BinaryDetail>

export const health = z.strictObject({
  isCritical: z.boolean(),
  isOverloaded: z.boolean(),
  cpu,
  memory: space,
  disk: space,
  backends: z.array(
    z.strictObject({
      isolation,
      isUsable: z.boolean(),
      findings: z.array(
        z.strictObject({
          feature: z.string(),
          isPresent: z.boolean(),
          isRequired: z.boolean(),
          remedy: z.string().nullable(),
        }),
      ),
    }),
  ),
  processes: z.strictObject({ proxy: z.boolean(), egress: z.boolean() }),
  problems: texts,
}) satisfies z.ZodType<resource.HealthView>

export const node = z.strictObject({
  hostname: z.string(),
  version: z.string(),
  platform: z.string(),
  pid: count,
  startedAtMs: timeMs,
  isRoot: z.boolean(),
  dataFolder: z.string(),
  runFolder: z.string(),
  addresses: z.record(z.string(), z.string()),
  tasks: count,
  instancesLive: count,
}) satisfies z.ZodType<resource.NodeView>

export const configuration = z.strictObject({
  entries: z.array(
    z.strictObject({
      key: z.string(),
      value: z.string(),
      source: z.enum(['default', 'file', 'environment', 'flag']),
      origin: z.string().nullable(),
    }),
  ),
}) satisfies z.ZodType<resource.ConfigView>

export const service = z
  .strictObject({
    name: z.string(),
    state: task.shape.state,
    urls: texts,
    publish: z.array(publish),
    instancesReady: count,
    isAvailable: z.boolean(),
  })
  .meta({ id: 'Service' }) satisfies z.ZodType<resource.ServiceView>
