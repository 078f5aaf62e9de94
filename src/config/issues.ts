/**
 * Turns what zod found into problems that people understand: the nearest right key, the accepted values, an
 * example of the right type. The texts of single values come from fields.ts.
 */

import * as z from 'zod'

import { nearestName } from '../core/name.ts'

import type { KeyPath } from './positions.ts'
import { formatPath, type Problem } from './problem.ts'

export interface LaterFeatures {
  /** Dotted keys, `*` for any name: what they will do. */
  readonly keys: Readonly<Record<string, string>>
  /** Dotted key, then value: what it will do. */
  readonly values: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** JSON Schema as zod writes it. */
export type JsonSchema = z.core.JSONSchema.JSONSchema

/** What may be written for a schema, with the texts and examples of its keys. */
export function buildJsonSchema(schema: z.ZodType): JsonSchema {
  const known = built.get(schema)
  if (known !== undefined) return known
  const made = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // Zod drops the examples of what is transformed, as they might be of the output; ours never are.
      const examples = z.globalRegistry.get(zodSchema)?.['examples']
      if (Array.isArray(examples)) jsonSchema.examples = examples
    },
  })
  built.set(schema, made)
  return made
}

const built = new WeakMap<z.ZodType, JsonSchema>()

export function problemsOf(
  error: z.ZodError,
  input: unknown,
  schema: z.ZodType,
  later: LaterFeatures,
): readonly Problem[] {
  const root = buildJsonSchema(schema)
  const problems = error.issues.flatMap((issue): Problem[] => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey([...path, key], root, later))
    }
    const value = path.reduce<unknown>((inner, part) => memberOf(inner, part), input)
    const at = 'value'
    const plan = typeof value === 'string' ? later.values[generalise(path)]?.[value] : undefined
    if (plan !== undefined) {
      return [{ path, at, message: `"${String(value)}" ${plan}`, isLater: true }]
    }
    const known = schemaAt(root, path)
    if (issue.code === 'invalid_value') return [{ path, at, ...notOneOf(value, known) }]
    if (issue.code === 'invalid_type') return [{ path, at, ...wrongType(value, path, known) }]
    if (issue.code === 'too_big') {
      return [{ path, at, message: 'is too long', hint: `Use at most ${issue.maximum}.` }]
    }
    const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined
    return [{ path, at, message: issue.message, hint: typeof hint === 'string' ? hint : undefined }]
  })
  return problems.filter((problem) => problem.message !== MISSING || !isMisspelt(problem, problems))
}

const MISSING = 'is missing'

/** A key that is there under a name that is nearly its own is one problem, not two. */
function isMisspelt({ path }: Problem, problems: readonly Problem[]): boolean {
  const parent = formatPath(path.slice(0, -1))
  const suggestion = didYouMean(String(path.at(-1)))
  return problems.some(
    (other) => other.hint === suggestion && formatPath(other.path.slice(0, -1)) === parent,
  )
}

function didYouMean(name: string): string {
  return `Did you mean "${name}"?`
}

function unknownKey(path: KeyPath, root: JsonSchema, later: LaterFeatures): Problem {
  const plan = later.keys[generalise(path)]
  if (plan !== undefined) return { path, at: 'key', message: plan, isLater: true }

  const message = 'is not a known key'
  return { path, at: 'key', message, hint: suggestKey(path, root) }
}

function suggestKey(path: KeyPath, root: JsonSchema): string {
  const key = String(path.at(-1)).replaceAll('-', '_')
  const siblings = Object.keys(schemaAt(root, path.slice(0, -1))?.properties ?? {})
  if (siblings.includes(key)) return didYouMean(key)
  const [home] = homesOf(root, key)
  if (home === '') return `Write "${key}" above the first [table].`
  if (home !== undefined) return `It belongs to [${home}], as "${key}".`
  const nearest = nearestName(key, siblings)
  return nearest === undefined ? `Known here: ${siblings.join(', ')}.` : didYouMean(nearest)
}

/** Sections that have this key; the empty string for the top of the file. */
function homesOf(root: JsonSchema, key: string): readonly string[] {
  const sections = Object.entries(root.properties ?? {})
  const homes = sections.filter(([, section]) => asSchema(section)?.properties?.[key] !== undefined)
  const isAtTop = root.properties?.[key] !== undefined
  return [...(isAtTop ? [''] : []), ...homes.map(([name]) => name)]
}

function notOneOf(
  value: unknown,
  known: JsonSchema | undefined,
): Pick<Problem, 'message' | 'hint'> {
  const choices = (known?.enum ?? []).map(String)
  const nearest = typeof value === 'string' ? nearestName(value, choices) : undefined
  const list = `Use one of ${choices.map((choice) => `"${choice}"`).join(', ')}.`
  return {
    message: value === undefined ? MISSING : `${show(value)} is not possible here`,
    hint: nearest === undefined ? list : `Did you mean "${nearest}"? ${list}`,
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'a table',
}

function wrongType(
  value: unknown,
  path: KeyPath,
  known: JsonSchema | undefined,
): Pick<Problem, 'message' | 'hint'> {
  const example = exampleOf(value, path, known)
  const hint = example === undefined ? undefined : `Write ${example}.`
  if (value === undefined) return { message: MISSING, hint }
  const expected = TYPES[String(known?.type)] ?? 'of another type'
  return { message: `must be ${expected}, and ${show(value)} is ${typeName(value)}`, hint }
}

/** What to write: the value itself in the right type where that is clear, else an example. */
function exampleOf(
  value: unknown,
  path: KeyPath,
  known: JsonSchema | undefined,
): string | undefined {
  const key = path.findLast((part) => typeof part === 'string') ?? ''
  const assign = (text: unknown) =>
    `${formatPath([key])} = ${JSON.stringify(text).replaceAll('","', '", "')}`
  const type = known?.type
  if (type === 'array' && isTable(value)) return `[[${key}]], with two brackets`
  if (type === 'array' && typeof value === 'string') {
    return assign(key === 'command' ? value.trim().split(/\s+/) : [value])
  }
  if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    const isFitting = new RegExp(known?.pattern ?? '').test(String(value))
    if (isFitting) return `it in quotes: "${value}"`
  }
  if (
    (type === 'number' || type === 'integer') &&
    typeof value === 'string' &&
    /^\d+(\.\d+)?$/.test(value)
  ) {
    return `${key} = ${value}, without quotes`
  }
  if (type === 'boolean') return `${key} = true or ${key} = false, without quotes`
  if (type === 'object') return `a table: [${formatPath(path)}]`
  const [example = known?.default] = known?.examples ?? []
  return example === undefined ? undefined : assign(example)
}

/** The schema of a key, or of the elements or members of what has no keys of its own. */
export function schemaAt(root: JsonSchema, path: KeyPath): JsonSchema | undefined {
  return path.reduce<JsonSchema | undefined>((schema, part) => {
    if (typeof part === 'number')
      return Array.isArray(schema?.items) ? undefined : asSchema(schema?.items)
    return asSchema(schema?.properties?.[part]) ?? asSchema(schema?.additionalProperties)
  }, root)
}

export function asSchema(schema: JsonSchema | boolean | undefined): JsonSchema | undefined {
  return typeof schema === 'object' ? schema : undefined
}

/** A path as the tables of later features write it: `config.*.base`. */
function generalise(path: KeyPath): string {
  const names = path.filter((part) => typeof part === 'string')
  if (names[0] === 'config' && names.length > 1) names[1] = '*'
  return names.join('.')
}

function memberOf(value: unknown, part: string | number): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.getOwnPropertyDescriptor(value, part)?.value
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a date'
  return TYPES[typeof value] ?? typeof value
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}
