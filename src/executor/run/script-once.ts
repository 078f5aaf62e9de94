/** A script that runs once, with the stdio, arguments and environment of its process. */

import { readFileSync, writeSync } from 'node:fs'

import { assert } from '../../core/assert.ts'
import { errnoOf, type QuiverError } from '../../core/error.ts'
import type { IncomingResponse, OutgoingRequest } from '../guest-host.ts'
import type { Outside } from '../outgoing/outside.ts'
import type { ModulePlan } from '../protocol.ts'
import { evaluateScript, openEngine, type LoadedScript } from '../script/image.ts'
import type { ScriptWorld } from '../script/script-world.ts'
import { ScriptExit, ScriptSession, scriptError } from '../script/session.ts'
import { prepareModule } from '../serve/prepare.ts'

import { explain } from './failure.ts'

const FAILED = 1
/** As Node.js has it: what was awaited at the top of the script never came. */
const UNSETTLED = 13
const STDOUT = 1
const STDERR = 2
/** Between two tries to write where nobody reads for now. */
const RETRY_MS = 2

/** @returns the status, 0 to 255. @throws QuiverError when the script cannot run at all */
export async function runScript(bytes: Uint8Array<ArrayBuffer>, plan: ModulePlan): Promise<number> {
  const { module, memory } = await prepareModule(bytes, plan, null)
  const { script, env, args, limits } = plan
  assert(
    script !== null && memory !== null,
    'an engine has a script, and a memory that it is given',
  )
  const session = new ScriptSession(new RunWorld(plan), {
    // Its life is limited, not its computing: nobody else waits for this process.
    cpuTimeMs: Infinity,
    waitingMax: limits.files,
    hostCallsPerSecondMax: Infinity,
    answerBytesMax: limits.memoryBytes,
  })
  const environment = { env, args: ['js', script.name, ...args] }
  try {
    const loaded = openEngine(module, new WebAssembly.Memory(memory), environment, session)
    session.turn((engine) => engine.call(loaded.entries.begin, []))
    const ending = evaluateScript(loaded, script)
    await session.awaitEnd()
    return finish(loaded, ending)
  } catch (thrown) {
    return tell(session.explain(thrown))
  } finally {
    session.stop()
  }
}

function finish({ session, engine }: LoadedScript, ending: number): number {
  const settled = engine.settledValue(ending)
  if (settled === undefined) {
    write(STDERR, 'quiver: the script awaits something that will never come (SCRIPT_STALLED)\n')
    return UNSETTLED
  }
  if (settled.isRejected) return tell(session.explainValue(settled.value))
  const status = session.turn(() => engine.evaluate('process.exitCode ?? 0', 'quiver:', false))
  return engine.toNumber(status) & 0xff
}

/** What ended it, where whoever started it reads. @returns the status */
function tell(thrown: unknown): number {
  if (thrown instanceof ScriptExit) return thrown.status
  const error = explain(thrown)
  const trace = typeof error.cause === 'string' ? error.cause : undefined
  const isOfScript = trace !== undefined && /^SCRIPT_(?:ERROR|FAILED|INVALID)$/.test(error.reason)
  write(STDERR, isOfScript ? `${trace}\n` : `quiver: ${error.message} (${error.reason})\n`)
  return FAILED
}

class RunWorld implements ScriptWorld {
  readonly #plan: ModulePlan
  #outside: Promise<Outside> | undefined

  constructor(plan: ModulePlan) {
    this.#plan = plan
  }

  log(level: string, text: string): void {
    write(level === 'warn' || level === 'error' ? STDERR : STDOUT, `${text}\n`)
  }

  respond(): void {}

  /** As in Node.js, it is an error that nobody caught. */
  reject(trace: string): QuiverError {
    return scriptError(trace.split('\n', 1)[0] ?? '', trace)
  }

  input(): Uint8Array {
    return readFileSync(0)
  }

  async fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse> {
    this.#outside ??= this.#openOutside()
    return await (await this.#outside).fetch(url, request)
  }

  async #openOutside(): Promise<Outside> {
    const { Outside } = await import('../outgoing/outside.ts')
    const { task, outside, limits } = this.#plan
    return new Outside({
      task,
      plan: outside,
      chain: [],
      requestId: undefined,
      gone: new AbortController().signal,
      timeoutMs: limits.requestTimeoutMs,
      inputBytesMax: limits.inputBytes,
    })
  }
}

/** All of it, however slowly it is read: a script that writes faster waits. */
function write(descriptor: number, text: string): void {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (thrown) {
      // Nobody reads any more, and nobody will.
      if (errnoOf(thrown) !== 'EAGAIN') return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }
}
