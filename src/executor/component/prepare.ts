/** From the bytes of a component to what threads serve: taken apart, checked, limited, compiled. */

import { QuiverError } from '../../core/error.ts'
import {
  importMemory,
  limitModule,
  type MemorySize,
  type ModuleLimits,
  type World,
} from '../module.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import { SIGNATURES } from '../wasi02/signatures.ts'

import { planComponent } from './link.ts'
import { isWritable } from './parse-values.ts'
import type { ComponentPlan, LiftPlan } from './plan.ts'
import { describeFunction, hashSignature } from './types.ts'

const LISTED_MAX = 10
/** Up to 64 MiB, a memory is cleared faster than a new one is mapped and its pages are touched. */
const GIVEN_PAGES_MAX = 1024

/** Goes from thread to thread as it is. */
export interface PreparedComponent {
  readonly plan: ComponentPlan
  /** With their limits written into them, as `plan.modules` counts them. */
  readonly modules: readonly WebAssembly.Module[]
  /** How many memories each instance has. */
  readonly memories: number
  /** What each module imports as its memory, as `MEMORY_IMPORT`; null: it makes its own, or has another one's. */
  readonly given: readonly (MemorySize | null)[]
}

/** What the worlds export, each with the type of its function. */
const ENTRIES: Readonly<Record<World, string>> = {
  'wasi:http/proxy':
    '(own<wasi:http/types/incoming-request>, own<wasi:http/types/response-outparam>)',
  'wasi:cli/command': '() -> result<_, _>',
}

/**
 * All that would fail when it is instantiated, or called.
 *
 * @throws QuiverError as `planComponent` and `limitModule`; `invalid_argument/MODULE_IMPORTS_UNKNOWN`, `invalid_argument/MODULE_INVALID`
 */
function checkComponent(
  bytes: Uint8Array,
  entry: ComponentEntry,
  limits: ModuleLimits,
): ComponentPlan {
  const plan = planComponent(bytes)
  assertEntry(plan, entry)
  const unknown = plan.imports.filter(
    (one) => findHostFunction(one.interface, one.name) === undefined,
  )
  if (unknown.length > 0) throw nobodyOffers(unknown)
  for (const one of plan.imports) {
    if (SIGNATURES[one.interface]?.[one.name] === hashSignature(one.type)) continue
    throw wrongType(`${one.interface} offers ${one.name}`, describeFunction(one.type))
  }
  for (const { start, end } of plan.modules) limitModule(bytes.subarray(start, end), limits)
  return plan
}

function assertEntry(plan: ComponentPlan, entry: ComponentEntry): void {
  if (entry.world === null) {
    if (Object.values(plan.exports).some(({ type }) => isWritable(type))) return
    const message = 'the component exports no function that could be called by name'
    throw new QuiverError('invalid_argument', 'MODULE_KIND_UNKNOWN', message, {
      hint: 'Export a function without resources among its parameters and in its result.',
    })
  }
  const { type } = liftedFunction(plan, entry)
  if (describeFunction(type) === ENTRIES[entry.world]) return
  throw wrongType(`${entry.export} exports`, describeFunction(type))
}

/** What is called for a request or a run; `world` null: nothing is, but its functions are called by name. */
export interface ComponentEntry {
  readonly world: World | null
  /** Interface with version. */
  readonly export: string | null
}

const FUNCTIONS: Readonly<Record<World, string>> = {
  'wasi:http/proxy': 'handle',
  'wasi:cli/command': 'run',
}

/** @throws QuiverError `invalid_argument/MODULE_KIND_UNKNOWN` */
export function liftedFunction(plan: ComponentPlan, entry: ComponentEntry): LiftPlan {
  const name = entry.world === null ? '' : FUNCTIONS[entry.world]
  const found = plan.exports[`${entry.export}#${name}`]
  if (found !== undefined) return found
  const message = `the component exports no function ${name} of ${entry.export}`
  throw new QuiverError('invalid_argument', 'MODULE_KIND_UNKNOWN', message)
}

/** @throws QuiverError as `checkComponent`; `invalid_argument/MODULE_INVALID` */
export async function prepareComponent(
  bytes: Uint8Array,
  entry: ComponentEntry,
  limits: ModuleLimits,
): Promise<PreparedComponent> {
  const plan = checkComponent(bytes, entry, limits)
  const moved = plan.modules.map(({ start, end }) =>
    importMemory(Uint8Array.from(limitModule(bytes.subarray(start, end), limits)), GIVEN_PAGES_MAX),
  )
  const compiling = moved.map(
    async (one) => await WebAssembly.compile(one.bytes).catch(explainInvalid),
  )
  const modules = await Promise.all(compiling)
  return { plan, modules, memories: plan.memories, given: moved.map(({ memory }) => memory) }
}

function nobodyOffers(unknown: ComponentPlan['imports']): QuiverError {
  const names = unknown
    .slice(0, LISTED_MAX)
    .map((one) => `"${one.name.slice(0, 100)}" of ${one.interface.slice(0, 100)}`)
  const more = unknown.length > LISTED_MAX ? `; and ${unknown.length - LISTED_MAX} more` : ''
  const message = `nobody offers what the component imports: ${names.join('; ')}${more}`
  return new QuiverError('invalid_argument', 'MODULE_IMPORTS_UNKNOWN', message, {
    hint: 'Build it for WASI 0.2 without features that are marked as unstable.',
  })
}

function explainInvalid(thrown: unknown): never {
  const why = thrown instanceof Error ? thrown.message : 'it is not valid'
  const message = `a core module of the component cannot run: ${why}`
  throw new QuiverError('invalid_argument', 'MODULE_INVALID', message, {
    hint: 'Build it again, and check it with "wasm-tools validate".',
  })
}

function wrongType(what: string, type: string): QuiverError {
  const message = `the component has another type for what ${what}: ${type.slice(0, 500)}`
  return new QuiverError('invalid_argument', 'MODULE_INVALID', message, {
    hint: 'Build it against the published WIT of WASI 0.2.',
  })
}
