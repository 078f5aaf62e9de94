/**
 * What a module is for, told from its imports and exports alone: how a request or a call reaches it.
 *
 * The rules, with their reasons, are in docs/internals/wasm.md.
 */

import { QuiverError } from '../../core/error.ts'
import {
  type ComponentFacts,
  type CoreFacts,
  describeSignature,
  type ExportFact,
  type ModuleFacts,
} from '../facts.ts'

export type World = 'wasi:http/proxy' | 'wasi:cli/command'

export type ModuleKind =
  /** A program: `_start` runs once, with the request on stdin and in the environment (CGI, WAGI). */
  | { readonly kind: 'command'; readonly entry: '_start' }
  /** Request body in, output buffer out, through the host functions. `entry` null: the manifest must name an export. */
  | { readonly kind: 'function'; readonly entry: string | null; readonly isInitialized: boolean }
  /** Exports that are called by name with numbers. */
  | {
      readonly kind: 'reactor'
      readonly exports: readonly ExportFact[]
      readonly isInitialized: boolean
    }
  /** `world` null: its functions are called by name. `export`: the interface that is called for the world. */
  | { readonly kind: 'component'; readonly world: World | null; readonly export: string | null }
  /** A JavaScript engine, which runs a script that comes beside it. */
  | { readonly kind: 'engine' }

/** Import modules that give a core module the exchange buffers. */
const EXCHANGE_MODULES: ReadonlySet<string> = new Set(['quiver', 'my-own-cluster'])
/** Exports that answer a request, the first that is there. */
const ENTRIES = ['handle', 'main', '_start'] as const
/** Exports that toolchains add beside what their users wrote. */
const TOOLCHAIN =
  /^(?:_initialize|_start|malloc|free|calloc|realloc|memory|asyncify_\w+|stack\w+|__\w*|_emscripten_\w+|emscripten_\w+|cabi_\w+|canonical_abi_\w+)$/

/** What is called for the world, by the interface that it exports. A component with both answers requests. */
const WORLDS: readonly (readonly [interfaceName: string, world: World])[] = [
  ['wasi:http/incoming-handler', 'wasi:http/proxy'],
  ['wasi:cli/run', 'wasi:cli/command'],
]

/**
 * @throws QuiverError `invalid_argument/MODULE_KIND_UNKNOWN` when nothing in it can be called, and
 *   `unimplemented/MODULE_WORLD_UNKNOWN` for a component of another world
 */
export function detectKind(facts: ModuleFacts): ModuleKind {
  return facts.format === 'core' ? detectCore(facts) : detectComponent(facts)
}

/** Exported functions that a user may call by name; not those that toolchains add. */
export function callableExports(facts: CoreFacts): readonly ExportFact[] {
  return facts.exports.filter(({ name, kind }) => kind === 'function' && !TOOLCHAIN.test(name))
}

function detectCore(facts: CoreFacts): ModuleKind {
  const functions = new Map(
    facts.exports.flatMap((one) => (one.kind === 'function' ? [[one.name, one] as const] : [])),
  )
  if (isEngine(facts, functions)) return { kind: 'engine' }
  const isInitialized = isPlain(functions.get('_initialize'))
  const isCommand = isPlain(functions.get('_start'))
  if (isCommand && isInitialized) {
    throw new QuiverError(
      'invalid_argument',
      'MODULE_KIND_UNKNOWN',
      'the module exports both _start and _initialize: it is a command and a reactor at once',
      { hint: 'Link a command, or a reactor with -mexec-model=reactor, but not both.' },
    )
  }
  if (isCommand) return { kind: 'command', entry: '_start' }
  const callable = callableExports(facts)
  if (facts.imports.some(({ module }) => EXCHANGE_MODULES.has(module))) {
    const named = ENTRIES.find((name) => functions.has(name))
    const only = callable.length === 1 ? callable[0]?.name : undefined
    const entry = named ?? only ?? null
    if (entry !== null || callable.length > 0) return { kind: 'function', entry, isInitialized }
  }
  if (callable.length > 0) return { kind: 'reactor', exports: callable, isInitialized }
  throw new QuiverError(
    'invalid_argument',
    'MODULE_KIND_UNKNOWN',
    'the module exports no function that could be called',
    {
      hint: 'Export _start (a program), or a function such as "handle": WASM_EXPORT in C, #[no_mangle] pub extern "C" in Rust.',
    },
  )
}

/** QuickJS as the npm package `quickjs-wasi` builds it; whether it fits is found out when a script is loaded. */
function isEngine(facts: CoreFacts, functions: ReadonlyMap<string, ExportFact>): boolean {
  const isCalledBack = facts.imports.some(
    ({ module, name }) => module === 'env' && name === 'host_call',
  )
  return isCalledBack && functions.has('qjs_eval')
}

function isPlain(one: ExportFact | undefined): boolean {
  const signature = one?.signature ?? null
  return signature !== null && describeSignature(signature) === '() -> ()'
}

function detectComponent(facts: ComponentFacts): ModuleKind {
  for (const [interfaceName, world] of WORLDS) {
    const found = facts.exports.find(({ name }) => name.startsWith(`${interfaceName}@0.2.`))
    if (found !== undefined) return { kind: 'component', world, export: found.name }
  }
  if (facts.exports.some(isCallable)) return { kind: 'component', world: null, export: null }
  const names = facts.exports.slice(0, 10).map(({ name }) => name.slice(0, 100))
  throw new QuiverError(
    'unimplemented',
    'MODULE_WORLD_UNKNOWN',
    `the component is of no world that can run here: it exports ${names.join(', ') || 'nothing'}`,
    {
      hint: 'Build it for wasi:http/proxy or wasi:cli/command of WASI 0.2, or export functions of your own.',
    },
  )
}

/** A function of the component's own, or an interface of its own; whether people can call it, its types say later. */
function isCallable({ name, kind }: ComponentFacts['exports'][number]): boolean {
  return kind === 'function' || (kind === 'instance' && !name.startsWith('wasi:'))
}
