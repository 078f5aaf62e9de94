/**
 * Reads `.env` files: the format that most tools share, without expansion of variables.
 *
 *     # a comment
 *     export NAME=plain value      # a comment after white space
 *     NAME='taken as it is, also over several lines'
 *     NAME="with \n \t \" \\ escapes,
 *           also over several lines"
 */

import { readFile } from 'node:fs/promises'

import { QuiverError } from '../core/error.ts'

import { checkEnvironment, isVariableName, type Environment } from './env.ts'
import type { Source } from './problem.ts'

/** One entry from its line start; what does not match is a mistake. */
const ENTRY =
  /[ \t]*(?:export[ \t]+)?([^\s=#]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[^])*)"|'([^']*)'|([^\r\n]*))/y
const BLANK = /(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:#[^\n]*)?/y
const LINE_END = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\n': '' }

/** @throws QuiverError `invalid_argument/ENV_FILE_INVALID` with the place of the first mistake */
export function parseDotenv(source: Source): Environment {
  const text = source.text.replace(/^\uFEFF/, '')
  const env = new Map<string, string>()
  let offset = 0
  while ((offset = match(BLANK, text, offset)?.end ?? offset) < text.length) {
    const entry = match(ENTRY, text, offset)
    if (entry === undefined) throw invalid(source, text, offset, 'is not KEY=VALUE')
    const [, name = '', double, single, plain] = entry.groups
    if (!isVariableName(name)) {
      throw invalid(source, text, offset, `"${name}" is not a name for an environment variable`)
    }
    if (/^["']/.test(plain ?? ''))
      throw invalid(source, text, offset, `the quote of ${name} is not closed`)
    const end = match(LINE_END, text, entry.end)?.end
    if (end === undefined)
      throw invalid(source, text, entry.end, `goes on after the closing quote of ${name}`)
    env.set(name, valueOf(double, single, plain))
    offset = end
  }
  return assertValues(source, Object.fromEntries(env))
}

/**
 * Reads `.env` beside a manifest, which need not exist.
 *
 * @throws QuiverError `invalid_argument/ENV_FILE_INVALID`, `failed_precondition/ENV_FILE_UNREADABLE`
 */
export async function loadDotenv(file: string): Promise<Environment> {
  return loadEnvFile(file).catch((thrown: unknown) => {
    const error = QuiverError.from(thrown)
    if (error.reason === 'ENV_FILE_NOT_FOUND') return {}
    throw error
  })
}

/**
 * Reads a file that `--env-file` names.
 *
 * @throws QuiverError `not_found/ENV_FILE_NOT_FOUND`, `failed_precondition/ENV_FILE_UNREADABLE`,
 *   `invalid_argument/ENV_FILE_INVALID`
 */
export async function loadEnvFile(file: string): Promise<Environment> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    if (isMissing) {
      const options = { hint: 'Check the path that --env-file names.', cause }
      throw new QuiverError('not_found', 'ENV_FILE_NOT_FOUND', `there is no ${file}`, options)
    }
    const options = { hint: 'It must be a text file that you may read.', cause }
    throw new QuiverError(
      'failed_precondition',
      'ENV_FILE_UNREADABLE',
      `${file} cannot be read`,
      options,
    )
  })
  return parseDotenv({ path: file, text })
}

function valueOf(double: string | undefined, single: string | undefined, plain = ''): string {
  if (single !== undefined) return single
  if (double === undefined) return plain.replace(/(?:^|[ \t]+)#.*$/, '').trim()
  return double.replaceAll(/\\([^])/g, (whole, escape: string) => {
    if (escape in ESCAPES) return ESCAPES[escape] ?? whole
    return /["'\\$`]/.test(escape) ? escape : whole
  })
}

function assertValues(source: Source, env: Environment): Environment {
  const [problem] = checkEnvironment(env)
  if (problem === undefined) return env
  const message = `${source.path}: ${problem.name} ${problem.message}`
  throw new QuiverError('invalid_argument', 'ENV_FILE_INVALID', message, { hint: problem.hint })
}

function match(pattern: RegExp, text: string, offset: number) {
  pattern.lastIndex = offset
  const groups = pattern.exec(text)
  return groups === null ? undefined : { groups, end: offset + groups[0].length }
}

/** The value is not repeated: what stands in these files is often secret. */
function invalid(source: Source, text: string, offset: number, what: string): QuiverError {
  const line = text.slice(0, offset).split('\n').length
  const hint = 'Write one KEY=VALUE a line; put values with # or several lines in double quotes.'
  const message = `${source.path}:${line}: ${what}`
  return new QuiverError('invalid_argument', 'ENV_FILE_INVALID', message, {
    hint,
    details: { file: source.path, line },
  })
}
