/**
 * Holds what a module imports against what is offered, before anything is deployed: links to tasks are taken out, and all
 * that nobody offers is named in one error.
 */

import { QuiverError } from '../../core/error.ts'
import { nearestName } from '../../core/name.ts'
import { neutraliseLine } from '../../core/terminal.ts'
import {
  type CoreFacts,
  describeSignature,
  type FunctionType,
  type ImportFact,
  type Link,
  type ModuleFacts,
} from '../facts.ts'

export interface Offered {
  /** Import modules of core modules, and their functions. */
  readonly modules: ReadonlyMap<string, ReadonlyMap<string, FunctionType>>
  /** Interfaces for components, without version: `wasi:cli/stdout`. */
  readonly interfaces: ReadonlySet<string>
}

/** A DNS label, as `parseName` has it for tasks. */
const TASK_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Import modules that toolchains write, and what they mean; a task of such a name cannot be linked to. */
const TOOLCHAINS: ReadonlyMap<string, string> = new Map([
  ['env', 'a symbol that no linked library defines'],
  ['go', 'Go for browsers: build with GOOS=wasip1'],
  ['gojs', 'Go for browsers: build with GOOS=wasip1'],
  ['wbg', 'wasm-bindgen, for browsers: build for wasm32-wasip1'],
  ['__wbindgen_placeholder__', 'wasm-bindgen, for browsers: build for wasm32-wasip1'],
])
const ABORT = 'AssemblyScript: build with --use abort=, or with @assemblyscript/wasi-shim'
const NUMBERS: ReadonlySet<string> = new Set(['i32', 'i64', 'f32', 'f64'])
/** Of WASI 0.2, or a draft of an interface that has no version yet. */
const VERSION = /^(.*?)(?:@0\.2\.\d+(?:-[\w.-]+)?|@0\.1\.0-draft[\w.-]*)?$/
const LISTED_MAX = 20
const SUGGESTED_LENGTH_MAX = 64
const OF_CORE =
  'See docs/reference/guest-api.md for what is offered; an import module may also be the name of a task.'
const OF_WASI = 'Build it for WASI 0.2; docs/internals/wasm.md lists the interfaces.'
const UNCOMPOSED =
  'Compose it with a component that exports this, for example with "wac plug", and deploy the result.'

/**
 * @returns the links, once for each function, in the order of their imports
 * @throws QuiverError `invalid_argument/MODULE_IMPORTS_UNKNOWN` that lists what nobody offers
 */
export function checkImports(facts: ModuleFacts, offered: Offered): readonly Link[] {
  if (facts.format === 'component') {
    const isOffered = (name: string): boolean => {
      const [, plain = ''] = VERSION.exec(name) ?? []
      return offered.interfaces.has(plain)
    }
    // A type or a value at the border carries no code; instances and functions have to come from somebody.
    const unknown = facts.imports.filter(({ name, kind }) => kind !== 'type' && !isOffered(name))
    const suggest = (name: string): string | undefined => suggestFrom(name, offered.interfaces)
    refuse(
      unknown.map(
        ({ name }) =>
          () =>
            describe(`"${clip(name)}"`, suggest(name)),
      ),
      unknown.every(({ name }) => name.startsWith('wasi:')) ? OF_WASI : UNCOMPOSED,
    )
    return []
  }
  return checkCore(facts, offered)
}

function checkCore(facts: CoreFacts, offered: Offered): readonly Link[] {
  const links = new Map<string, Link>()
  const problems: (() => string)[] = []
  for (const one of facts.imports) {
    const link = linkOf(one, offered)
    if (link === undefined) {
      const problem = problemOf(one, offered)
      if (problem !== undefined) problems.push(problem)
      continue
    }
    const key = `${link.task}/${link.function}`
    const signature = describeSignature(link.signature)
    const before = links.get(key)
    if (before !== undefined && describeSignature(before.signature) !== signature) {
      problems.push(() => `"${clip(key)}" with two signatures`)
    }
    links.set(key, link)
  }
  refuse(problems, OF_CORE)
  return [...links.values()]
}

function linkOf(one: ImportFact, offered: Offered): Link | undefined {
  if (one.signature === null || one.kind !== 'function') return undefined
  if (offered.modules.has(one.module) || TOOLCHAINS.has(one.module)) return undefined
  if (!TASK_NAME.test(one.module)) return undefined
  const { params, results } = one.signature
  const isNumeric = [...params, ...results].every((type) => NUMBERS.has(type))
  if (!isNumeric || results.length > 1) return undefined
  return { task: one.module, function: one.name, signature: one.signature }
}

/** What is wrong with an import; undefined when it is offered. Texts are made only for those that are shown. */
function problemOf(one: ImportFact, offered: Offered): (() => string) | undefined {
  const name = `"${clip(one.module)}" "${clip(one.name)}"`
  const functions = offered.modules.get(one.module)
  const type = functions?.get(one.name)
  if (one.kind !== 'function' || one.signature === null) return () => `${name} (a ${one.kind})`
  const { signature } = one
  if (type !== undefined) {
    if (isCompatible(signature, type)) return undefined
    return () => `${name} as ${describeSignature(signature)}, which is ${describeSignature(type)}`
  }
  if (functions !== undefined) return () => describe(name, suggestFrom(one.name, functions.keys()))
  const isAbort = one.module === 'env' && one.name === 'abort'
  const meaning = isAbort ? ABORT : TOOLCHAINS.get(one.module)
  if (meaning !== undefined) return () => `${name} (${meaning})`
  if (TASK_NAME.test(one.module)) {
    return () =>
      `${name} as ${describeSignature(signature)}: a call of a task passes numbers and returns at most one`
  }
  return () => describe(name, suggestFrom(one.module, offered.modules.keys()))
}

/** A guest may leave a result unused that the host returns, as older bindings do. */
function isCompatible(wanted: FunctionType, type: FunctionType): boolean {
  const hasResults = wanted.results.length === 0 || isSame(wanted.results, type.results)
  return hasResults && isSame(wanted.params, type.params)
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.join() === b.join()
}

/** @throws QuiverError unless there are no problems */
function refuse(problems: readonly (() => string)[], hint: string): void {
  if (problems.length === 0) return
  const listed = problems.slice(0, LISTED_MAX).map((describeOne) => describeOne())
  const more = problems.length - listed.length
  if (more > 0) listed.push(`and ${more} more`)
  throw new QuiverError(
    'invalid_argument',
    'MODULE_IMPORTS_UNKNOWN',
    `nobody offers what the module imports: ${listed.join('; ')}`,
    { hint, details: { imports: problems.length } },
  )
}

function describe(name: string, nearest: string | undefined): string {
  return nearest === undefined ? name : `${name} (is "${nearest}" meant?)`
}

/** Names are hostile: comparing costs the product of their lengths. */
function suggestFrom(name: string, candidates: Iterable<string>): string | undefined {
  return name.length > SUGGESTED_LENGTH_MAX ? undefined : nearestName(name, candidates)
}

function clip(name: string): string {
  return neutraliseLine(name.length <= 100 ? name : `${name.slice(0, 100)}…`)
}
