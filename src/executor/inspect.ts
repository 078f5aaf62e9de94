/** Judges a module before anything is deployed: what it is, what it needs, and whether all of that is there. */

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'

import { describeSignature, type ModuleFacts } from './facts.ts'
import {
  callableExports,
  checkImports,
  detectKind,
  limitModule,
  readModule,
  type Link,
  type ModuleKind,
} from './module.ts'
import { OFFERED } from './offered.ts'
import type { Inspection, ModuleDemand } from './protocol.ts'

export interface JudgedModule {
  readonly facts: ModuleFacts
  readonly kind: ModuleKind
  readonly links: readonly Link[]
}

interface ExportedFunction {
  readonly name: string
  readonly signature: string
}

export const TABLE_ELEMENTS_MAX = 1_000_000
const PAGE_BYTES = 65_536
/** Of each list of an inspection: it is stored and shown, and a module can have 100,000 exports. */
const LISTED_MAX = 256
const NAME_LENGTH_MAX = 128

/** @throws QuiverError that says what is wrong with the module, and where */
export function judgeModule(bytes: Uint8Array<ArrayBuffer>): JudgedModule {
  const facts = readModule(bytes)
  const kind = detectKind(facts)
  // What an engine imports is the executor's own affair.
  const links = kind.kind === 'engine' ? [] : checkImports(facts, OFFERED)
  if (facts.format === 'core' && !WebAssembly.validate(bytes)) throw explainInvalid(bytes)
  return { facts, kind, links }
}

/**
 * All that would fail later: at the start of an instance, or with its first request.
 *
 * @throws QuiverError as `judgeModule`, `limitModule` and `prepareComponent`; `invalid_argument/MODULE_ENTRY_MISSING`, `invalid_argument/MODULE_NOT_A_COMMAND`
 */
export async function inspectModule(
  bytes: Uint8Array<ArrayBuffer>,
  demand: ModuleDemand | null,
  hasScript: boolean,
): Promise<Inspection> {
  const judged = judgeModule(bytes)
  if (demand !== null) await assertFit(bytes, judged, demand, hasScript)
  if (judged.kind.kind !== 'component') return describeModule(judged, listCallable(judged.facts))
  const { listFunctions } = await import('./component/functions.ts')
  return describeModule(judged, listFunctions(bytes))
}

async function assertFit(
  bytes: Uint8Array<ArrayBuffer>,
  { facts, kind }: JudgedModule,
  { entry, memoryBytes, isReused, isRun }: ModuleDemand,
  hasScript: boolean,
): Promise<void> {
  if (isRun && !isRunnable(kind)) throw notACommand(kind)
  if (isReused && !isReusable(kind, entry)) throw notReusable(kind)
  if ((kind.kind === 'engine') !== hasScript) throw wrongEngine(hasScript)
  assertEntry(facts, kind, entry)
  const limits = { memoryBytesMax: memoryBytes, tableElementsMax: TABLE_ELEMENTS_MAX }
  if (facts.format === 'core') limitModule(bytes, limits)
  if (kind.kind === 'component') {
    const { prepareComponent } = await import('./component/prepare.ts')
    await prepareComponent(bytes, kind, limits)
  }
}

/** Whether it is a program that runs once. */
export function isRunnable(kind: ModuleKind): boolean {
  if (kind.kind === 'component') return kind.world === 'wasi:cli/command'
  return kind.kind === 'command' || kind.kind === 'engine'
}

/** A command ends with its request; scripts and components begin anew by design. */
function isReusable(kind: ModuleKind, entry: string | null): boolean {
  return kind.kind === 'function' || (kind.kind === 'reactor' && entry !== null)
}

function notReusable(kind: ModuleKind): QuiverError {
  const message = `the module is a ${kind.kind}: one instance of it cannot answer many requests`
  return new QuiverError('invalid_argument', 'MODULE_NOT_REUSABLE', message, {
    hint: 'Leave instances = "reuse" out, or export a function that answers one request.',
  })
}

function wrongEngine(hasScript: boolean): QuiverError {
  if (!hasScript) {
    const message = 'the module is the JavaScript engine, and there is no script for it'
    return new QuiverError('invalid_argument', 'SCRIPT_MISSING', message, {
      hint: 'Set file to the script itself: file = "function.js".',
    })
  }
  const message = 'the binary of this script is not the JavaScript engine'
  return new QuiverError('failed_precondition', 'ENGINE_UNKNOWN', message, {
    hint: 'Deploy the script again, so that it gets the engine of this version.',
  })
}

export function notACommand(kind: ModuleKind): QuiverError {
  const world = kind.kind === 'component' ? kind.world : null
  const what = world === null ? kind.kind : `component of world ${world}`
  const message = `the module is a ${what}, not a command: it has nothing to run`
  return new QuiverError('invalid_argument', 'MODULE_NOT_A_COMMAND', message, {
    hint: 'Deploy it with [http] in its manifest and send it a request, or call an export with "quiver invoke".',
  })
}

/** @param exported  the names of the module's functions */
export function noEntry(entry: string | null, exported: readonly string[]): QuiverError {
  // Names are hostile, and comparing them costs the product of their lengths.
  const names = exported.slice(0, LISTED_MAX).filter(({ length }) => length <= NAME_LENGTH_MAX)
  const message =
    entry === null
      ? 'the module has several exports, and none of them is "handle", "main" or "_start"'
      : `the module has no exported function "${entry}"`
  const nearest = entry === null ? undefined : nearestName(entry.slice(0, NAME_LENGTH_MAX), names)
  const meant = nearest === undefined ? '' : ` ("${nearest}"?)`
  return new QuiverError('invalid_argument', 'MODULE_ENTRY_MISSING', message, {
    hint: `Set entry under [wasm] to one of: ${names.slice(0, 10).join(', ')}${meant}.`,
  })
}

function assertEntry(facts: ModuleFacts, kind: ModuleKind, entry: string | null): void {
  if (facts.format === 'component') return
  const names = facts.exports.filter((one) => one.kind === 'function').map(({ name }) => name)
  const isMissing = entry === null ? 'entry' in kind && kind.entry === null : !names.includes(entry)
  if (isMissing) throw noEntry(entry, names)
}

function listCallable(facts: ModuleFacts): readonly ExportedFunction[] {
  if (facts.format !== 'core') return []
  return callableExports(facts).map(({ name, signature }) => ({
    name,
    signature: signature === null ? '' : describeSignature(signature),
  }))
}

function describeModule(
  { facts, kind, links }: JudgedModule,
  callable: readonly ExportedFunction[],
): Inspection {
  const { producers } = facts
  const memories = facts.format === 'core' ? facts.memories : []
  return {
    kind: kind.kind,
    entry: 'entry' in kind ? kind.entry : null,
    exports: callable.slice(0, LISTED_MAX).map(({ name, signature }) => ({
      name: name.slice(0, NAME_LENGTH_MAX),
      signature: signature.slice(0, NAME_LENGTH_MAX),
    })),
    exportCount: callable.length,
    links: links.map((link) => ({
      task: link.task,
      function: link.function.slice(0, NAME_LENGTH_MAX),
      signature: describeSignature(link.signature).slice(0, NAME_LENGTH_MAX),
    })),
    producers: [...producers.language, ...producers.processedBy, ...producers.sdk]
      .slice(0, LISTED_MAX)
      .map((name) => name.slice(0, NAME_LENGTH_MAX)),
    memoryBytes: memories.reduce((sum, { initial }) => sum + initial * PAGE_BYTES, 0),
  }
}

function explainInvalid(bytes: Uint8Array<ArrayBuffer>): QuiverError {
  let why = 'it is not valid'
  try {
    void new WebAssembly.Module(bytes)
  } catch (thrown) {
    if (thrown instanceof Error) why = thrown.message
  }
  return new QuiverError('invalid_argument', 'MODULE_INVALID', `the module cannot run: ${why}`, {
    hint: 'Build it again, and check it with "wasm-validate".',
  })
}
