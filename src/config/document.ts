/**
 * Reads a TOML text into what a schema promises, or says everything that is wrong with it at once.
 *
 * Shared by the manifest and the node's configuration. What the keys mean is not known here.
 */

import { parse, TomlError } from 'smol-toml'
import type * as z from 'zod'

import type { QuiverError } from '../core/error.ts'

import { problemsOf, type LaterFeatures } from './issues.ts'
import { scanPositions, type KeyPath, type Positions } from './positions.ts'
import { describeProblems, type Problem, type Source } from './problem.ts'

export interface DocumentRules<Schema extends z.ZodObject> {
  readonly schema: Schema
  /** Keys and values that are refused with "not yet" rather than "unknown". */
  readonly later: LaterFeatures
  /** Stand in for required keys while the rest is checked. */
  readonly placeholders: Readonly<Record<string, unknown>>
  /** Rules between keys. Called also when other keys are wrong, with those left out. */
  check(document: z.output<Schema>): readonly Problem[]
  /** Reason of the error, such as `MANIFEST_INVALID`. */
  readonly reason: string
}

const TEXT_LENGTH_MAX = 1024 * 1024

/**
 * @throws QuiverError `invalid_argument/<rules.reason>` with all problems, or `unimplemented/NOT_YET` when every
 *   problem is a feature of a later version
 */
export function readDocument<Schema extends z.ZodObject>(
  source: Source,
  rules: DocumentRules<Schema>,
): z.output<Schema> {
  const input = parseToml(source, rules.reason)
  const result = rules.schema.safeParse(input)
  const problems = result.success ? [] : problemsOf(result.error, input, rules.schema, rules.later)
  const document = result.success ? result.data : parseRest(input, problems, rules)
  const all = document === undefined ? problems : [...problems, ...rules.check(document)]
  if (result.success && all.length === 0) return result.data
  throw describeProblems(source, scanPositions(source.text), all, rules.reason)
}

/** @throws QuiverError `invalid_argument/<reason>` with the place of the syntax error */
export function parseToml(source: Source, reason: string): Record<string, unknown> {
  if (source.text.length > TEXT_LENGTH_MAX) {
    const message = `is longer than ${TEXT_LENGTH_MAX} characters`
    throw describeProblems(source, NOWHERE, [{ path: [], at: 'key', message }], reason)
  }
  try {
    return parse(source.text, { unsafeKeyBehaviour: 'throw', maxDepth: 32 })
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw thrown
    throw syntaxError(source, thrown, reason)
  }
}

function syntaxError(source: Source, thrown: TomlError, reason: string): QuiverError {
  const [headline = ''] = thrown.message.replace(/^Invalid TOML document: /, '').split('\n')
  const place = { line: thrown.line, column: thrown.column }
  const at = { key: () => place, value: () => place }
  const hint = 'This is a mistake of TOML syntax: https://toml.io/en/v1.0.0'
  return describeProblems(source, at, [{ path: [], at: 'key', message: headline, hint }], reason)
}

const NOWHERE: Positions = { key: () => undefined, value: () => undefined }

/** The document without what is wrong in it, so that the rules between the other keys can be checked too. */
function parseRest<Schema extends z.ZodObject>(
  input: Record<string, unknown>,
  problems: readonly Problem[],
  { schema, placeholders }: DocumentRules<Schema>,
): z.output<Schema> | undefined {
  const rest = structuredClone(input)
  for (const { path } of problems) deletePath(rest, path)
  const result = schema.safeParse({ ...placeholders, ...rest })
  return result.success ? result.data : undefined
}

/** Deletes a key; of a path through an array the whole array, so that other indexes stay true. */
function deletePath(root: Record<string, unknown>, path: KeyPath): void {
  const firstIndex = path.findIndex((part) => typeof part === 'number')
  const keys = (firstIndex === -1 ? path : path.slice(0, firstIndex)).map(String)
  const last = keys.pop()
  let table: unknown = root
  for (const key of keys) table = isTable(table) ? table[key] : undefined
  if (isTable(table) && last !== undefined) delete table[last]
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
