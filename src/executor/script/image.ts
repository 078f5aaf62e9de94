/**
 * A script that is loaded once: the memory of an engine in which the script has run to its end, and waits for requests. Every request
 * begins with an instance of its own and a memory that holds exactly these bytes, so it finds what loading left, and nothing else.
 *
 * Memories are used again, because mapping one and touching its pages costs more than all the rest; in between, every byte is overwritten.
 */

import { QuiverError } from '../../core/error.ts'
import type { MemorySize } from '../module.ts'
import type { ScriptSource } from '../protocol.ts'

import { Engine, EngineException, type EngineState, type Value } from './engine.ts'
import { installHostCalls } from './host-calls.ts'
import { buildPrelude, PRELUDE_NAME, type Environment } from './prelude.ts'
import type { ScriptLimits, ScriptWorld } from './script-world.ts'
import { ScriptSession, type Entries } from './session.ts'

const PAGE_BYTES = 65_536
/** What a request may use before its memory has to grow: one that has grown is not used again. */
const ROOM_BYTES = 512 * 1024
/** Pages of the system: what is not zero is copied in this measure. */
const GRAIN_BYTES = 4096
/** Kept at the same time: more are in use only while scripts wait. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024

interface Run {
  readonly at: number
  /** Undefined: zeros. */
  readonly bytes: Uint8Array | undefined
  readonly length: number
}

/** A script that runs, with what it runs in. */
export interface LoadedScript {
  readonly session: ScriptSession
  readonly engine: Engine
  readonly entries: Entries
}

/** An engine with the prelude, and nothing of the script yet. */
export function openEngine(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  environment: Environment,
  session: ScriptSession,
): LoadedScript {
  const engine = new Engine(module, memory, session)
  session.attach(engine)
  engine.boot()
  const prelude = engine.evaluate(buildPrelude(), PRELUDE_NAME, false)
  const host = installHostCalls(engine)
  const exported = engine.call(prelude, [host, engine.newString(JSON.stringify(environment))])
  const entries: Entries = {
    adopt: engine.property(exported, 'adopt'),
    begin: engine.property(exported, 'begin'),
    handle: engine.property(exported, 'handle'),
    listExports: engine.property(exported, 'listExports'),
    callExport: engine.property(exported, 'callExport'),
    wake: engine.property(exported, 'wake'),
    settle: engine.property(exported, 'settle'),
    describeError: engine.property(exported, 'describeError'),
  }
  session.attach(engine, entries)
  return { session, engine, entries }
}

/**
 * Runs a script to its end, as a module. Its promise is settled when this returns, or waits for what the session waits for.
 *
 * @returns the promise of its exports. @throws QuiverError `invalid_argument/SCRIPT_INVALID` with line and column
 */
export function evaluateScript({ session, entries }: LoadedScript, source: ScriptSource): Value {
  try {
    return session.turn((engine) => engine.evaluate(source.text, source.name, true))
  } catch (thrown) {
    throw explainLoading(session, entries, thrown)
  }
}

export class ScriptImage {
  readonly #module: WebAssembly.Module
  readonly #size: MemorySize
  readonly #runs: readonly Run[]
  readonly #bytes: number
  readonly #state: EngineState
  readonly entries: Entries
  readonly #free: WebAssembly.Memory[] = []

  /**
   * Loads a script.
   *
   * @throws QuiverError `invalid_argument/SCRIPT_INVALID`, `failed_precondition/SCRIPT_FAILED`, `invalid_argument/SCRIPT_NO_HANDLER`; a limit
   */
  constructor(
    module: WebAssembly.Module,
    size: MemorySize,
    source: ScriptSource,
    env: Readonly<Record<string, string>>,
    world: ScriptWorld,
    limits: ScriptLimits,
  ) {
    this.#module = module
    const session = new ScriptSession(world, limits)
    const memory = new WebAssembly.Memory(size)
    const loaded = openEngine(module, memory, { env, args: null }, session)
    const { engine, entries } = loaded
    const exported = engine.settledValue(evaluateScript(loaded, source))
    if (exported === undefined) throw unfinished(source)
    if (exported.isRejected) {
      throw explainLoading(session, entries, new EngineException(exported.value))
    }
    if (!engine.isTrue(engine.call(entries.adopt, [exported.value]))) throw noHandler(source)
    session.stop()
    engine.collectGarbage()
    engine.makeRoom(ROOM_BYTES)
    const bytes = new Uint8Array(memory.buffer)
    this.entries = entries
    this.#state = engine.state
    // What the stack held while the script was loaded is of no use to anybody.
    bytes.fill(0, 0, engine.state.stackPointer)
    this.#bytes = bytes.length
    // A script that needed more to load has it from the start.
    this.#size = { initial: bytes.length / PAGE_BYTES, maximum: size.maximum }
    this.#runs = findRuns(bytes)
  }

  /** What a request begins with. */
  get memoryBytes(): number {
    return this.#bytes
  }

  /** The script as it was when it had been loaded, for one request. */
  open(world: ScriptWorld, limits: ScriptLimits): LoadedScript {
    const session = new ScriptSession(world, limits)
    const kept = this.#free.pop()
    const memory = kept ?? new WebAssembly.Memory(this.#size)
    const engine = new Engine(this.#module, memory, session, this.#state)
    // After the instance was made, since that writes its own beginning.
    this.#fill(new Uint8Array(memory.buffer), kept !== undefined)
    engine.resume()
    session.attach(engine, this.entries)
    return { session, engine, entries: this.entries }
  }

  /** Nothing of the script may run any more. */
  close({ session, engine }: LoadedScript): void {
    session.stop()
    const { memory } = engine
    const isAsMade = memory.buffer.byteLength === this.#bytes
    if (isAsMade && (this.#free.length + 1) * this.#bytes <= KEPT_BYTES_MAX) this.#free.push(memory)
  }

  #fill(bytes: Uint8Array, isUsed: boolean): void {
    for (const { at, bytes: content, length } of this.#runs) {
      if (content !== undefined) bytes.set(content, at)
      else if (isUsed) bytes.fill(0, at, at + length)
    }
  }
}

/** The memory in pieces that are all zero, and pieces that are not. */
function findRuns(bytes: Uint8Array): readonly Run[] {
  const runs: Run[] = []
  let from = 0
  let isZero = isGrainZero(bytes, 0)
  for (let at = GRAIN_BYTES; at <= bytes.length; at += GRAIN_BYTES) {
    const isNextZero = at < bytes.length && isGrainZero(bytes, at)
    if (at < bytes.length && isNextZero === isZero) continue
    const content = isZero ? undefined : bytes.slice(from, at)
    runs.push({ at: from, bytes: content, length: at - from })
    from = at
    isZero = isNextZero
  }
  return runs
}

function isGrainZero(bytes: Uint8Array, at: number): boolean {
  return bytes.subarray(at, at + GRAIN_BYTES).every((byte) => byte === 0)
}

/** What loading threw, with its place: of a syntax error there is nothing but that. */
function explainLoading(session: ScriptSession, entries: Entries, thrown: unknown): unknown {
  if (!(thrown instanceof EngineException)) return thrown
  const trace = session.describe(entries, thrown.value)
  const [message = '', place = ''] = trace.split('\n')
  const [, at] = /\(?([^\s()]+:\d+:\d+)\)?$/.exec(place) ?? []
  const where = at === undefined ? '' : `${at}: `
  if (/^(?:SyntaxError|ReferenceError: could not load module)/.test(message)) {
    const isImport = message.includes('could not load module')
    return new QuiverError('invalid_argument', 'SCRIPT_INVALID', `${where}${message}`, {
      cause: trace,
      hint: isImport
        ? 'A script is one file: bundle what it imports into it, with a tool such as esbuild.'
        : 'Correct the script.',
    })
  }
  const what = `the script failed while it was loaded: ${where}${message}`
  return new QuiverError('failed_precondition', 'SCRIPT_FAILED', what, { cause: trace })
}

function unfinished({ name }: ScriptSource): QuiverError {
  const message = `${name} waits for something while it is loaded, where there is nothing to wait for`
  return new QuiverError('failed_precondition', 'SCRIPT_FAILED', message, {
    hint: 'Await in the function that answers requests, not at the top of the file.',
  })
}

function noHandler({ name }: ScriptSource): QuiverError {
  const message = `${name} exports nothing that answers requests`
  return new QuiverError('invalid_argument', 'SCRIPT_NO_HANDLER', message, {
    hint: 'Write: export default { fetch(request) { return new Response("hello") } }',
  })
}
