/**
 * Environment variables of a task: who may set them, and who wins.
 *
 *     --env  >  --env-file  >  .env  >  [config.NAME] env  >  [env]  >  the binary's own  >  our defaults
 *
 * The first three are given at run or deploy time and become part of the revision, never of an image's files. What
 * comes below `[env]` is added where an instance is planned (`scheduler/planning.ts`).
 * The text of `.env` files is read by dotenv.ts.
 */

import { QuiverError } from '../core/error.ts'

export type Environment = Readonly<Record<string, string>>

/** Layers that a person adds at run or deploy time, strongest first. */
export interface EnvironmentLayers {
  /** `--env`, in the order given: the last of a name wins. */
  readonly flags: Environment
  /** `--env-file`, in the order given: the last file wins. */
  readonly files: readonly Environment[]
  /** `.env` beside the manifest. */
  readonly dotenv: Environment
}

/**
 * All layers as one, to go over the variables of the manifest.
 *
 * @throws QuiverError `invalid_argument/ENV_INVALID`
 */
export function mergeEnvironment({ flags, files, dotenv }: EnvironmentLayers): Environment {
  const layers = [dotenv, ...files, flags]
  const env = Object.fromEntries(layers.flatMap((layer) => Object.entries(layer)))
  assertEnvironment(env)
  return env
}

/**
 * Reads the values of `--env`: `KEY=VALUE`, or `KEY` alone for the caller's own value of it.
 *
 * @param caller  the environment of the caller; a `KEY` that it lacks is left unset
 * @throws QuiverError `invalid_argument/ENV_INVALID`
 */
export function parseEnvFlags(flags: readonly string[], caller: NodeJS.ProcessEnv): Environment {
  const entries = flags.flatMap((flag): [string, string][] => {
    const equals = flag.indexOf('=')
    const name = equals === -1 ? flag : flag.slice(0, equals)
    const value = equals === -1 ? caller[name] : flag.slice(equals + 1)
    return value === undefined && isVariableName(name) ? [] : [[name, value ?? '']]
  })
  const env = Object.fromEntries(entries)
  assertEnvironment(env)
  return env
}

export interface VariableProblem {
  readonly name: string
  readonly message: string
  readonly hint: string
}

/** One string of an environment may have 128 KiB (MAX_ARG_STRLEN); all together must fit ainit's specification. */
const VARIABLE_BYTES_MAX = 131_071
const ENVIRONMENT_BYTES_MAX = 196_608

/** What the kernel or the shell would not take: odd names, NUL, too much. */
export function checkEnvironment(env: Environment): readonly VariableProblem[] {
  const problems: VariableProblem[] = []
  let total = 0
  for (const [name, value] of Object.entries(env)) {
    const bytes = Buffer.byteLength(name) + Buffer.byteLength(value) + 1
    const isFirstOver = total <= ENVIRONMENT_BYTES_MAX && total + bytes > ENVIRONMENT_BYTES_MAX
    total += bytes
    if (!isVariableName(name)) {
      const hint = 'Use letters, digits and underscores, and begin with a letter or underscore.'
      problems.push({ name, message: 'is not a name for an environment variable', hint })
    }
    if (value.includes('\0')) {
      problems.push({
        name,
        message: 'contains a NUL character',
        hint: 'Leave it out: it would end the value.',
      })
    }
    if (bytes > VARIABLE_BYTES_MAX) {
      problems.push({
        name,
        message: `has ${bytes} bytes`,
        hint: 'Put it into a file: Linux takes at most 128 KiB.',
      })
    } else if (isFirstOver) {
      const hint = 'Put large values into files: all variables together may have 192 KiB.'
      problems.push({ name, message: 'makes the environment too large', hint })
    }
  }
  return problems
}

/** @throws QuiverError `invalid_argument/ENV_INVALID` for the first problem */
function assertEnvironment(env: Environment): void {
  const [problem] = checkEnvironment(env)
  if (problem === undefined) return
  const { name, message, hint } = problem
  throw new QuiverError('invalid_argument', 'ENV_INVALID', `${JSON.stringify(name)} ${message}`, {
    hint,
  })
}

export function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
}
