/**
 * The configuration of a node: what its operator chooses, as opposed to what a developer ships.
 *
 *     flags  >  QUIVER_*  >  <data>/node.toml  >  /etc/quiver/node.toml  >  default
 *
 * Every setting is returned with where it came from, for `quiver config print`.
 */

import { readFile } from 'node:fs/promises'
import path from 'node:path'

import type * as z from 'zod'

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'

import { parseToml } from './document.ts'
import { dataFolder, runFolder } from './folders.ts'
import { asSchema, buildJsonSchema, problemsOf, type JsonSchema } from './issues.ts'
import { checkBridge, NodeSchema, type NodeConfig } from './node-schema.ts'
import { scanPositions } from './positions.ts'
import { describeProblems, formatPath, type Problem, type Source } from './problem.ts'

export type { NodeConfig } from './node-schema.ts'

type Variables = Readonly<Record<string, string | undefined>>

export interface NodeConfigInput {
  /** Dotted names of settings, such as `listen.http`, as given on the command line. */
  readonly flags: Readonly<Record<string, string>>
  readonly env: Variables
  /** Texts of `node.toml` files, weakest first. */
  readonly files: readonly Source[]
  readonly uid: number
}

export interface ResolvedNodeConfig {
  readonly config: NodeConfig
  readonly settings: readonly Setting[]
  /** `QUIVER_*` variables that are no settings but nearly are; worth a line on stderr. */
  readonly warnings: readonly string[]
}

export interface Setting {
  /** Dotted, as in `node.toml`. */
  readonly name: string
  /** As it would be written in `node.toml`. */
  readonly value: string | number
  /** `default`, `--listen-http`, `QUIVER_LISTEN_HTTP` or `/etc/quiver/node.toml:3`. */
  readonly source: string
  readonly meaning: string
}

/** A file need not set anything. */
const FileSchema = NodeSchema.partial()

/** Variables that belong to the command line or come from a supervisor, and are no settings of a node. */
const OTHER_VARIABLES = ['QUIVER_HOST', 'QUIVER_TOKEN', 'QUIVER_NODE']

/** Reads the files that exist, then resolves. `data` decides which second file is read, so it cannot be set there. */
export async function loadNodeConfig(
  input: Omit<NodeConfigInput, 'files'>,
  system = '/etc/quiver/node.toml',
): Promise<ResolvedNodeConfig> {
  const files = await readIfThere(system)
  const { config } = resolveNodeConfig({ ...input, files })
  const own = await readIfThere(path.join(config.data, 'node.toml'))
  for (const source of own) refuseData(source)
  return resolveNodeConfig({ ...input, files: [...files, ...own] })
}

/**
 * @throws QuiverError `invalid_argument/NODE_CONFIG_INVALID`: all problems of the first file that has any, else the
 *   first wrong variable or flag
 */
export function resolveNodeConfig(input: NodeConfigInput): ResolvedNodeConfig {
  const known = listSettings()
  const values = new Map<string, { value: string | number; source: string }>()
  for (const source of input.files) readLayer(source, values)
  for (const { name, schema } of known) {
    const text = input.env[variableOf(name)] ?? ''
    if (text !== '') values.set(name, { value: fromCaller(text, schema), source: variableOf(name) })
  }
  for (const [name, text] of Object.entries(input.flags)) {
    const schema = known.find((setting) => setting.name === name)?.schema ?? {}
    values.set(name, { value: fromCaller(text, schema), source: flagOf(name) })
  }
  const data = values.get('data')?.value ?? dataFolder(input.env, input.uid)
  if (!values.has('data')) values.set('data', { value: data, source: 'default' })
  const run = runFolder(String(data), input.env, input.uid)
  if (!values.has('run')) values.set('run', { value: run, source: 'default' })

  const config = parseValues(values, known)
  const settings = known.flatMap(({ name, schema }): Setting[] => {
    const { value = defaultOf(schema), source = 'default' } = values.get(name) ?? {}
    return value === undefined ? [] : [{ name, value, source, meaning: schema.description ?? '' }]
  })
  return { config, settings, warnings: warn(input.env, known) }
}

export interface KnownSetting {
  readonly name: string
  readonly schema: JsonSchema
}

/** Every setting of a node, in the order of the schema. */
export function listSettings(
  schema: JsonSchema = buildJsonSchema(NodeSchema),
  prefix: readonly string[] = [],
): readonly KnownSetting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const inner = asSchema(value)
    if (inner === undefined) return []
    const parts = [...prefix, key]
    if (inner.properties !== undefined) return listSettings(inner, parts)
    return [{ name: parts.join('.'), schema: inner }]
  })
}

/** `listen.http` ▸ `QUIVER_LISTEN_HTTP`. */
export function variableOf(name: string): string {
  return `QUIVER_${name.replaceAll('.', '_').toUpperCase()}`
}

/** `listen.http` ▸ `--listen-http`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll('.', '-')}`
}

/** Checks one file by itself, so that its mistakes have places, and takes over what it sets. */
function readLayer(
  source: Source,
  values: Map<string, { value: string | number; source: string }>,
): void {
  const input = parseToml(source, 'NODE_CONFIG_INVALID')
  const result = FileSchema.safeParse(input)
  const positions = scanPositions(source.text)
  if (!result.success) {
    const later = { keys: {}, values: {} }
    const problems = problemsOf(result.error, input, FileSchema, later)
    throw describeProblems(source, positions, problems, 'NODE_CONFIG_INVALID')
  }
  for (const [keys, value] of leavesOf(input)) {
    const line = positions.key(keys)?.line ?? 1
    values.set(keys.join('.'), { value, source: `${source.path}:${line}` })
  }
}

function* leavesOf(
  table: object,
  prefix: readonly string[] = [],
): Generator<[string[], string | number]> {
  for (const [key, value] of Object.entries(table) as [string, unknown][]) {
    const keys = [...prefix, key]
    if (typeof value === 'object' && value !== null) yield* leavesOf(value, keys)
    if (typeof value === 'string' || typeof value === 'number') yield [keys, value]
  }
}

function parseValues(
  values: ReadonlyMap<string, { readonly value: string | number; readonly source: string }>,
  known: readonly KnownSetting[],
): NodeConfig {
  const input: Record<string, unknown> = {}
  for (const [name, { value, source }] of values) {
    if (!known.some((setting) => setting.name === name)) throw unknownSetting(name, source, known)
    setPath(input, name.split('.'), value)
  }
  const result = NodeSchema.safeParse(input)
  if (!result.success) throw wrongSetting(result.error, input, values)
  checkTogether(result.data, values)
  return result.data
}

function checkTogether(
  { tls, bridge }: NodeConfig,
  values: ReadonlyMap<string, { readonly source: string }>,
): void {
  const [name = '', message = '', bridgeHint] = checkBridge(bridge) ?? []
  if (name !== '')
    throw invalid(`${values.get(name)?.source ?? name}: ${name} ${message}`, bridgeHint)
  if ((tls.certificate === undefined) === (tls.key === undefined)) return
  const [has, lacks] = tls.key === undefined ? ['certificate', 'key'] : ['key', 'certificate']
  const hint = `Set tls.${lacks} too, or leave both out for a self-signed certificate.`
  throw invalid(`tls.${has} is set without tls.${lacks}`, hint)
}

/** What a flag or variable says: a number where one is wanted, a path from the caller's folder. */
function fromCaller(text: string, schema: JsonSchema): string | number {
  if (schema.type === 'integer' && /^\d{1,15}$/.test(text)) return Number(text)
  return schema.format === 'path' ? path.resolve(text) : text
}

function setPath(root: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  const [key = '', ...rest] = keys
  if (rest.length === 0) {
    root[key] = value
    return
  }
  const inner: unknown = root[key]
  const table = typeof inner === 'object' && inner !== null ? { ...inner } : {}
  root[key] = table
  setPath(table, rest, value)
}

function wrongSetting(
  error: z.ZodError,
  input: unknown,
  values: ReadonlyMap<string, { readonly source: string }>,
): QuiverError {
  const [problem] = problemsOf(error, input, NodeSchema, { keys: {}, values: {} })
  const name = formatPath(problem?.path ?? [])
  const source = values.get(name)?.source ?? name
  return invalid(`${source}: ${problem?.message ?? 'is not valid'}`, problem?.hint)
}

function unknownSetting(name: string, source: string, known: readonly KnownSetting[]): QuiverError {
  const nearest = nearestName(
    name,
    known.map((setting) => setting.name),
  )
  const hint = nearest === undefined ? undefined : `Did you mean "${nearest}"?`
  return invalid(`${source} is not a setting of a node`, hint)
}

function warn(env: Variables, known: readonly KnownSetting[]): readonly string[] {
  const variables = [...known.map(({ name }) => variableOf(name)), ...OTHER_VARIABLES]
  return Object.keys(env).flatMap((variable) => {
    if (!variable.startsWith('QUIVER_') || variables.includes(variable)) return []
    const nearest = nearestName(variable, variables)
    return nearest === undefined ? [] : [`${variable} has no effect. Did you mean ${nearest}?`]
  })
}

function defaultOf(schema: JsonSchema): string | number | undefined {
  const value: unknown = schema.default
  return typeof value === 'string' || typeof value === 'number' ? value : undefined
}

function refuseData(source: Source): void {
  const input = parseToml(source, 'NODE_CONFIG_INVALID')
  if (!('data' in input)) return
  const hint = 'Set it in /etc/quiver/node.toml, as QUIVER_DATA or with --data.'
  const problem: Problem = {
    path: ['data'],
    at: 'key',
    message: 'cannot be set in the folder that it names',
    hint,
  }
  throw describeProblems(source, scanPositions(source.text), [problem], 'NODE_CONFIG_INVALID')
}

async function readIfThere(file: string): Promise<readonly Source[]> {
  try {
    return [{ path: file, text: await readFile(file, 'utf8') }]
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    const options = { hint: 'Let the user that runs Quiver read it, or remove it.', cause: thrown }
    throw new QuiverError(
      'failed_precondition',
      'NODE_CONFIG_UNREADABLE',
      `${file} cannot be read`,
      options,
    )
  }
}

function invalid(message: string, hint: string | undefined): QuiverError {
  const options = hint === undefined ? {} : { hint }
  return new QuiverError('invalid_argument', 'NODE_CONFIG_INVALID', message, options)
}
