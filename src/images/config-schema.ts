/** Configurations as they arrive from outside: checked once here, trusted everywhere below. */

import * as z from 'zod'

import { isDigest, type Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { parseName } from '../core/name.ts'
import type { TaskSpec } from '../core/task.ts'

import type { BinaryConfig, ImageConfig } from './images.ts'
import { checkTree, missingSkeleton } from './tree.ts'

const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/

const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value))
const environment = z.record(z.string(), z.string())

const EntrySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('file'),
    path: z.string(),
    digest,
    bytes: z.int().min(0),
    isExecutable: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('symlink'), path: z.string(), target: z.string() }),
  z.strictObject({ kind: z.literal('folder'), path: z.string() }),
])

const BinarySchema = z.strictObject({
  schema: z.literal(1),
  kind: z.literal('binary'),
  name: z.string(),
  version: z.string().regex(VERSION),
  platform: z.string(),
  entry: z.string(),
  env: environment,
  tree: z.array(EntrySchema),
})

const ImageSchema = z.strictObject({
  schema: z.literal(1),
  kind: z.literal('image'),
  name: z.string(),
  version: z.string().nullable(),
  title: z.string().nullable(),
  author: z.string().nullable(),
  tags: z.array(z.string()),
  binary: digest,
  binaryReference: z.string(),
  /** What a specification holds is the business of `config/` and of the scheduler. */
  spec: z.custom<TaskSpec>(isRecord),
  configs: z.record(z.string(), z.custom<ImageConfig['configs'][string]>(isRecord)),
  tree: z.array(EntrySchema),
})

/**
 * @throws QuiverError `invalid_argument/IMAGE_CONFIG_INVALID`, `invalid_argument/NAME_INVALID`,
 *   `invalid_argument/TREE_INVALID`, `invalid_argument/PATH_ESCAPES`, `resource_exhausted/TREE_TOO_LARGE`
 */
export function parseBinaryConfig(input: unknown): BinaryConfig {
  const config = parse(BinarySchema, input, 'binary')
  const what = `binary ${parseName(config.name, 'binary name')}`
  checkTree(config.tree, what)
  missingSkeleton(config.tree, what)
  const program = config.tree.find((entry) => `/${entry.path}` === config.entry)
  const isProgram =
    program?.kind === 'symlink' || (program?.kind === 'file' && program.isExecutable)
  if (isProgram) return config
  throw new QuiverError(
    'invalid_argument',
    'TREE_INVALID',
    `${what}: its entry ${config.entry} is not an executable file of its tree`,
  )
}

/** @throws QuiverError as `parseBinaryConfig` */
export function parseImageConfig(input: unknown): ImageConfig {
  const config = parse(ImageSchema, input, 'image')
  checkTree(config.tree, `image ${parseName(config.name, 'image name')}`)
  return config
}

function parse<T extends z.ZodType>(schema: T, input: unknown, kind: string): z.output<T> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw new QuiverError(
    'invalid_argument',
    'IMAGE_CONFIG_INVALID',
    `not the configuration of a ${kind}:\n${z.prettifyError(result.error)}`,
    { hint: 'Build it again with this version of Quiver.' },
  )
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
