/** Schemas of what a client uploads: images, binaries and the specification in them. See `schemas.ts`. */

import * as z from 'zod'

import { isDigest } from '../core/digest.ts'
import type { Digest } from '../core/digest.ts'
import type { TaskSpec } from '../core/task.ts'
import type { BinaryConfig, ImageConfig, TreeEntry } from '../images/images.ts'

const ENTRIES_MAX = 200_000

export const digest: z.ZodType<Digest> = z
  .custom<Digest>((text) => typeof text === 'string' && isDigest(text), 'is not a digest')
  .meta({ type: 'string', pattern: '^sha256:[0-9a-f]{64}$' })

export const name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'is not a name: use lower-case letters, digits and hyphens',
  )

const label = z.string().min(1).max(256)
const port = z.int().min(1).max(65_535)
const count = z.int().min(0)
const positive = z.int().min(1)
const environment = z.record(z.string().regex(/^[^=\0]+$/, 'is not a variable name'), z.string())
/** In the tree of the image. */
const scriptPath = z
  .string()
  .max(4096)
  .regex(/^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))./, 'is not a path inside the image')
const isolation = z.enum(['wasm', 'sandbox', 'microvm'])

const limits = z
  .strictObject({
    memoryBytes: positive,
    cpuMillis: positive.nullable(),
    startCpuMillis: positive,
    pids: positive,
    files: positive,
    fileBytes: count.nullable(),
    coreBytes: count.nullable().optional(),
    tmpBytes: count,
    requestTimeoutMs: positive,
    startTimeoutMs: positive,
    stopTimeoutMs: count,
    wallTimeMs: positive.nullable(),
    bodyBytes: count.nullable(),
    queueLength: count,
    logBytes: positive,
  })
  .meta({ id: 'Limits' })

export const taskSpec: z.ZodType<TaskSpec> = z
  .strictObject({
    name,
    isolation,
    args: z.array(z.string()),
    argv0: z.string().nullable(),
    env: environment,
    workdir: z.string().startsWith('/'),
    http: z
      .strictObject({
        port,
        routes: z.array(z.string()).max(256),
        sticky: z.enum(['none', 'cookie', 'client']),
      })
      .nullable(),
    ports: z
      .array(
        z.strictObject({
          port,
          publish: z
            .strictObject({ address: z.string().max(64), port: count.max(65_535) })
            .nullable(),
        }),
      )
      .max(64),
    scale: z.strictObject({
      min: count,
      max: positive,
      concurrency: positive,
      pauseAfterMs: count.nullable(),
      stopAfterMs: count.nullable(),
    }),
    limits,
    readyPath: z.string().startsWith('/').nullable(),
    allow: z
      .array(
        z.strictObject({
          scheme: z.enum(['http', 'https', 'tcp']),
          host: z.string().max(253),
          port,
        }),
      )
      .max(256),
    connect: z
      .array(
        z.strictObject({
          task: name,
          as: z.string().max(253),
          port,
          kind: z.enum(['http', 'tcp']),
        }),
      )
      .max(256),
    network: z.enum(['private', 'bridge', 'none', 'host']),
    identity: z
      .strictObject({
        hostname: name.nullable(),
        ip: z.ipv4().nullable(),
        mac: z
          .string()
          .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/)
          .nullable(),
        dns: z.array(z.ipv4()).max(2),
      })
      .optional(),
    isWritable: z.boolean(),
    snapshot: z.literal('ready').optional(),
    stopSignal: z.int().min(1).max(64),
    wasm: z
      .strictObject({
        stdout: z.enum(['cgi', 'body']),
        entry: z.string().max(255).nullable(),
        isReused: z.boolean(),
        cpuTimeMs: positive,
        outputBytes: positive,
        hostCalls: positive,
        script: scriptPath.nullable().optional(),
      })
      .nullable()
      .default(null),
  })
  .meta({ id: 'TaskSpec' })

const treeEntry: z.ZodType<TreeEntry> = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('file'),
      path: z.string().min(1),
      digest,
      bytes: count,
      isExecutable: z.boolean(),
    }),
    z.strictObject({
      kind: z.literal('symlink'),
      path: z.string().min(1),
      target: z.string().min(1),
    }),
    z.strictObject({ kind: z.literal('folder'), path: z.string().min(1) }),
  ])
  .meta({ id: 'TreeEntry' })

export const binaryConfig = z
  .strictObject({
    schema: z.literal(1),
    kind: z.literal('binary'),
    name,
    version: label,
    platform: label,
    entry: z.string().startsWith('/'),
    env: environment,
    tree: z.array(treeEntry).max(ENTRIES_MAX),
  })
  .meta({ id: 'BinaryConfig' }) satisfies z.ZodType<BinaryConfig>

const startConfiguration = z.strictObject({
  args: z.array(z.string()).exactOptional(),
  env: environment.exactOptional(),
  argv0: z.string().nullable().exactOptional(),
})

export const imageConfig = z
  .strictObject({
    schema: z.literal(1),
    kind: z.literal('image'),
    name,
    version: label.nullable(),
    title: z.string().max(1000).nullable(),
    author: z.string().max(1000).nullable(),
    tags: z.array(label).max(64),
    binary: digest,
    binaryReference: label,
    spec: taskSpec,
    configs: z.record(z.string().max(64), startConfiguration),
    tree: z.array(treeEntry).max(ENTRIES_MAX),
  })
  .meta({ id: 'ImageConfig' }) satisfies z.ZodType<ImageConfig>
