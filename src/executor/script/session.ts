/**
 * One script at work, for one request or one run: turns of the engine, and what it waits for in between. The engine runs in turns: something
 * calls in, promises are carried on until none can be, and then nothing of it runs until a timer or an answer comes. So a script that
 * waits holds no stack and no thread.
 */

import { QuiverError } from '../../core/error.ts'
import { CallRate } from '../call-rate.ts'
import type { IncomingResponse } from '../guest-host.ts'
import { breach } from '../run/failure.ts'
import { trap } from '../trap.ts'

import { EngineException, type Engine, type EngineHost, type Value } from './engine.ts'
import { runHostCall } from './host-calls.ts'
import type { EntryName } from './prelude.ts'
import type { ScriptLimits, ScriptWorld } from './script-world.ts'

export type Entries = Readonly<Record<EntryName, Value>>

interface Outgoing {
  readonly method: string
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
}

/** How often a turn that never ends by itself is looked at, in steps of promises. */
const STEPS_PER_LOOK = 256
const TIMER_MS_MAX = 2 ** 31 - 1

/** The script itself said that it is over. */
export class ScriptExit {
  readonly status: number

  constructor(status: number) {
    this.status = status
  }
}

export class ScriptSession implements EngineHost {
  readonly world: ScriptWorld
  readonly #limits: ScriptLimits
  readonly #rate: CallRate
  readonly #beganAtMs = performance.now()
  readonly #timers = new Map<number, NodeJS.Timeout>()
  readonly #rejections = new Map<number, string>()
  #fetches = 0
  #engine: Engine | undefined
  #entries: Entries | undefined
  #end: ((error: unknown) => void) | undefined
  #isOver = false
  #failure: unknown
  #computedMs = 0
  #turnAtMs = 0

  constructor(world: ScriptWorld, limits: ScriptLimits) {
    this.world = world
    this.#limits = limits
    this.#rate = new CallRate(limits.hostCallsPerSecondMax)
  }

  /** Gives it its engine. `entries` are those of the prelude, once that is there. */
  attach(engine: Engine, entries?: Entries): void {
    this.#engine = engine
    this.#entries = entries
    this.#turnAtMs = performance.now()
  }

  get nowMs(): number {
    return performance.now() - this.#beganAtMs
  }

  /** Something to do, that was asked for and is not there yet. */
  get isWaiting(): boolean {
    return this.#timers.size > 0 || this.#fetches > 0
  }

  /**
   * A turn of the engine, begun by `begin`.
   *
   * @throws EngineException for what nobody caught; QuiverError for a limit; whatever ended the script
   */
  turn<T>(begin: (engine: Engine) => T): T {
    const engine = this.#requireEngine()
    this.#turnAtMs = performance.now()
    try {
      const result = begin(engine)
      for (let steps = 1; !this.#isOver && engine.runJob(); steps++) {
        if (steps % STEPS_PER_LOOK === 0 && this.isInterrupted()) break
      }
      this.#throwFailure()
      this.#lookAtRejections()
      return result
    } catch (thrown) {
      throw this.#failure ?? thrown
    } finally {
      this.#computedMs += performance.now() - this.#turnAtMs
    }
  }

  /** Resolves when the script is over, or has nothing left to wait for; undefined: it is. Rejects as `turn` throws. */
  awaitEnd(): Promise<void> | undefined {
    if (this.#isOver || !this.isWaiting) return undefined
    return new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error))
    })
  }

  /** Nothing of the script runs from here on. @param error  what `awaitEnd` rejects with */
  stop(error?: unknown): void {
    this.#isOver = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    const end = this.#end
    this.#end = undefined
    end?.(error)
  }

  finish(): void {
    this.#isOver = true
  }

  fail(message: string, trace: string): void {
    this.#failure ??= scriptError(message, trace)
    this.#isOver = true
  }

  exit(status: number): never {
    this.#failure ??= new ScriptExit(status & 0xff)
    this.#isOver = true
    // No `catch` or `finally` of the script may hold it.
    trap(new QuiverError('unavailable', 'EXITED', 'the script ended itself'))
  }

  startTimer(id: number, delayMs: number): boolean {
    if (this.#timers.size + this.#fetches >= this.#limits.waitingMax) return false
    const timer = setTimeout(
      () => {
        this.#timers.delete(id)
        this.#wake((engine, entries) => engine.call(entries.wake, [engine.newNumber(id)]))
      },
      Math.min(delayMs, TIMER_MS_MAX),
    )
    this.#timers.set(id, timer)
    return true
  }

  stopTimer(id: number): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }

  fetch(id: number, url: string, request: Outgoing): boolean {
    if (this.#timers.size + this.#fetches >= this.#limits.waitingMax) return false
    this.#fetches++
    const outgoing = { ...request, answerBytesMax: this.#limits.answerBytesMax }
    this.world.fetch(url, outgoing).then(
      (response) => this.#settle(id, response, undefined),
      (thrown: unknown) => this.#settle(id, undefined, QuiverError.from(thrown).message),
    )
    return true
  }

  call(letter: string, args: readonly Value[]): Value {
    // What has ended is not listened to: its last turn goes on until it comes back.
    if (this.#failure !== undefined) trap(ended())
    this.#failure ??= this.#rate.count() ?? undefined
    if (this.#failure !== undefined) trap(ended())
    return runHostCall(this, this.#requireEngine(), letter, args)
  }

  isInterrupted(): boolean {
    const computedMs = this.#computedMs + performance.now() - this.#turnAtMs
    if (computedMs <= this.#limits.cpuTimeMs) return false
    const what = `the script computed for longer than ${this.#limits.cpuTimeMs} ms`
    this.#failure ??= breach('CPU_TIME', what)
    this.#isOver = true
    return true
  }

  onRejection(promise: number, reason: Value, isHandled: boolean): void {
    if (isHandled) {
      this.#rejections.delete(promise)
      return
    }
    const entries = this.#entries
    const trace = entries === undefined ? '' : this.describe(entries, reason)
    this.#rejections.set(promise, trace)
  }

  /** An error of the script: its name and message in the first line, and then where it was thrown. */
  describe(entries: Entries, error: Value): string {
    const engine = this.#requireEngine()
    return engine.toText(engine.call(entries.describeError, [error]))
  }

  /** @throws what `turn` would have thrown */
  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** What a turn threw, as an error with a reason and the place in the script. */
  explain(thrown: unknown): unknown {
    return thrown instanceof EngineException ? this.explainValue(thrown.value) : thrown
  }

  /** The same, of what a promise was rejected with. */
  explainValue(value: Value): unknown {
    const entries = this.#entries
    if (entries === undefined) return outOfMemory()
    let trace: string
    try {
      trace = this.describe(entries, value)
    } catch (again) {
      // Where not even an error can be described, there is no memory left.
      return again instanceof EngineException ? outOfMemory() : again
    }
    return scriptError(trace.split('\n', 1)[0] ?? '', trace)
  }

  #lookAtRejections(): void {
    for (const trace of this.#rejections.values()) {
      const failure = this.world.reject(trace)
      if (failure !== undefined) throw failure
    }
    this.#rejections.clear()
  }

  #settle(id: number, response: IncomingResponse | undefined, problem: string | undefined): void {
    this.#fetches--
    this.#wake((engine, entries) => {
      const { status = 0, rawHeaders = [], body = EMPTY } = response ?? {}
      engine.call(entries.settle, [
        engine.newNumber(id),
        engine.newNumber(status),
        engine.newString(toLines(rawHeaders)),
        engine.newBytes(body),
        ...(problem === undefined ? [] : [engine.newString(problem)]),
      ])
    })
  }

  /** What it waited for has come. */
  #wake(begin: (engine: Engine, entries: Entries) => unknown): void {
    const entries = this.#entries
    if (this.#isOver || entries === undefined) return
    try {
      this.turn((engine) => begin(engine, entries))
    } catch (thrown) {
      this.stop(this.explain(thrown))
      return
    }
    if (this.#isOver || !this.isWaiting) this.stop()
  }

  #requireEngine(): Engine {
    if (this.#engine !== undefined) return this.#engine
    throw new TypeError('the session has no engine yet')
  }
}

const EMPTY = new Uint8Array(0)

export function toLines(rawHeaders: readonly string[]): string {
  return rawHeaders.join('\n')
}

/** An error of the script: the message is for whoever asked, the trace for the log. */
export function scriptError(message: string, trace: string): QuiverError {
  if (/^InternalError: out of memory$/.test(message)) {
    return outOfMemory()
  }
  return new QuiverError('unavailable', 'SCRIPT_ERROR', `the script failed: ${message}`, {
    cause: trace,
  })
}

function outOfMemory(): QuiverError {
  return breach('OUT_OF_MEMORY', 'the script needs more memory than it may have')
}

function ended(): QuiverError {
  return new QuiverError('canceled', 'ENDED', 'the script has ended')
}
