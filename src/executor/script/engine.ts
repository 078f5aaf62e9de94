/**
 * One instance of the JavaScript engine: QuickJS, built for WASI as the npm package `quickjs-wasi` ships it, driven through the functions it exports.
 * It knows values of the engine and how to copy text and bytes, but nothing of scripts or requests.
 *
 * The engine is a guest like any other: a script may have found a mistake in it, so whatever it says is checked against its memory.
 *
 * A value is the address of a cell that holds it; whoever gets one frees it. Safe to leave: an instance is thrown away as a whole.
 */

import { MEMORY_IMPORT } from '../module.ts'
import { trap } from '../trap.ts'

import { badAddress, notAnEngine, outOfMemory } from './engine-errors.ts'
import {
  INITIALIZE,
  isEngine,
  STACK_POINTER,
  type EngineExports,
  type Value,
} from './engine-exports.ts'

export type { Value } from './engine-exports.ts'

/** What the engine calls, while it runs. */
export interface EngineHost {
  /** A function of the host, by its letter. @returns what it returns, or 0 for undefined */
  call(letter: string, args: readonly Value[]): Value
  /** Asked every ten thousand steps or so. */
  isInterrupted(): boolean
  /** A promise was rejected and nobody listens, or somebody does now. `promise` names it. */
  onRejection(promise: number, reason: Value, isHandled: boolean): void
}

/** Where the engine keeps itself in its memory. */
export interface EngineState {
  readonly runtime: number
  readonly context: number
  readonly stackPointer: number
  /** For texts and lengths that pass. */
  readonly scratch: number
  readonly nothing: Value
}

/** A failure inside the engine that no script can catch, or that none has. */
export class EngineException extends Error {
  readonly value: Value

  constructor(value: Value) {
    super('the script threw')
    this.value = value
  }
}

const MODULE_FLAG = 1
const FULFILLED = 1
const REJECTED = 2
/**
 * Of the engine's own stack of 1 MiB, so that a script that calls itself without end gets a RangeError. The machine's stack, which the
 * engine needs as well, is 4 MiB in a thread: twice this amount was too much for the deepest functions.
 */
const STACK_BYTES_MAX = 256 * 1024
/** Garbage is looked for when so much is in use, and then when it is half as much again. */
const GC_BYTES = 4 * 1024 * 1024
const SCRATCH_BYTES = 8 * 1024
/** The length of a text, and the three numbers of a typed array. */
const NUMBERS_BYTES = 16
const WORD_BYTES = 4
/** More than any host call has. */
const ARGUMENTS_MAX = 8
/** A UTF-16 unit takes at most three bytes of UTF-8. */
const UTF8_BYTES_MAX = 3
const ERRNO_BADF = 8

export class Engine {
  readonly memory: WebAssembly.Memory
  readonly #exports: EngineExports
  readonly #host: EngineHost
  #bytes: Buffer
  #state: EngineState | undefined

  /** @param state  of the image that `memory` holds; undefined: the memory is new */
  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    host: EngineHost,
    state?: EngineState,
  ) {
    this.memory = memory
    this.#host = host
    this.#state = state
    const { exports } = new WebAssembly.Instance(module, this.#imports())
    if (!isEngine(exports)) throw notAnEngine()
    this.#exports = exports
    this.#bytes = Buffer.from(memory.buffer)
  }

  /** Makes a new engine in the memory. */
  boot(): EngineState {
    this.#exports[INITIALIZE]()
    if (this.#exports.qjs_init() !== 0) throw outOfMemory()
    this.#exports.qjs_set_max_stack_size(STACK_BYTES_MAX)
    this.#exports.qjs_set_gc_threshold(GC_BYTES)
    this.#exports.qjs_set_interrupt_handler(1)
    this.#exports.qjs_set_promise_rejection_handler(1)
    const scratch = this.#exports.malloc(SCRATCH_BYTES)
    if (scratch === 0) throw outOfMemory()
    this.#state = {
      runtime: this.#exports.qjs_get_runtime_ptr(),
      context: this.#exports.qjs_get_context_ptr(),
      stackPointer: Number(this.#exports[STACK_POINTER].value),
      scratch,
      nothing: this.#exports.qjs_get_undefined(),
    }
    return this.#state
  }

  /** Goes on with the engine that the memory holds the image of. */
  resume(): void {
    const { runtime, context, stackPointer } = this.state
    this.#exports[STACK_POINTER].value = stackPointer
    this.#exports.qjs_set_runtime_and_context(runtime, context)
  }

  get state(): EngineState {
    if (this.#state === undefined) throw notAnEngine()
    return this.#state
  }

  collectGarbage(): void {
    this.#exports.qjs_run_gc()
  }

  /** Lets the allocator have so much free memory, if there is so much. */
  makeRoom(bytes: number): void {
    this.#exports.free(this.#exports.malloc(bytes))
  }

  /** @throws EngineException for what the script threw, also for a syntax error */
  evaluate(source: string, name: string, isModule: boolean): Value {
    const code = this.#put(source)
    const file = this.#put(name)
    const result = this.#exports.qjs_eval(code.at, code.length, file.at, isModule ? MODULE_FLAG : 0)
    this.#exports.free(code.at)
    this.#exports.free(file.at)
    return this.#checked(result)
  }

  /** @throws EngineException */
  call(target: Value, args: readonly Value[]): Value {
    const { nothing, scratch } = this.state
    // Read by the engine before anything else is written there.
    args.forEach((arg, index) => this.#view.writeUInt32LE(arg, scratch + index * WORD_BYTES))
    return this.#checked(this.#exports.qjs_call(target, nothing, args.length, scratch))
  }

  /** Runs what promises have brought, one step. @returns false: there is nothing. @throws EngineException */
  runJob(): boolean {
    if (this.#exports.qjs_is_job_pending() === 0) return false
    if (this.#exports.qjs_execute_pending_job() < 0) {
      throw new EngineException(this.#exports.qjs_get_exception())
    }
    return true
  }

  property(object: Value, name: string): Value {
    const text = this.#put(name)
    const value = this.#exports.qjs_get_prop_string(object, text.at)
    this.#exports.free(text.at)
    return this.#checked(value)
  }

  setProperty(object: Value, name: string, value: Value): void {
    const text = this.#put(name)
    this.#exports.qjs_set_prop_string(object, text.at, value)
    this.#exports.free(text.at)
  }

  newObject(): Value {
    return this.#exports.qjs_new_object()
  }

  /** A function that calls `EngineHost.call` with that letter. */
  newHostFunction(letter: string, parameters: number): Value {
    const text = this.#put(letter)
    const value = this.#exports.qjs_new_host_function(text.at, text.length, parameters)
    this.#exports.free(text.at)
    return value
  }

  newString(text: string): Value {
    const bytesMax = text.length * UTF8_BYTES_MAX
    if (bytesMax < SCRATCH_BYTES) {
      const { scratch } = this.state
      const length = this.#view.write(text, scratch, 'utf8')
      return this.#exports.qjs_new_string(scratch, length)
    }
    const { at, length } = this.#put(text)
    const value = this.#exports.qjs_new_string(at, length)
    this.#exports.free(at)
    return value
  }

  newNumber(value: number): Value {
    return this.#exports.qjs_new_number(value)
  }

  newBoolean(value: boolean): Value {
    return value ? this.#exports.qjs_get_true() : this.#exports.qjs_get_false()
  }

  /** A `Uint8Array` with a copy. */
  newBytes(bytes: Uint8Array): Value {
    const at = this.#reserve(bytes.length)
    this.#view.set(bytes, at)
    const value = this.#exports.qjs_new_uint8_array(at, bytes.length)
    this.#exports.free(at)
    return value
  }

  /** What became of a promise; undefined: nothing yet. */
  settledValue(
    promise: Value,
  ): { readonly isRejected: boolean; readonly value: Value } | undefined {
    const state = this.#exports.qjs_promise_state(promise)
    if (state !== FULFILLED && state !== REJECTED) return undefined
    return { isRejected: state === REJECTED, value: this.#exports.qjs_promise_result(promise) }
  }

  free(value: Value): void {
    this.#exports.qjs_free_value(value)
  }

  isUndefined(value: Value): boolean {
    return this.#exports.qjs_is_undefined(value) !== 0
  }

  isTrue(value: Value): boolean {
    return this.#exports.qjs_get_bool(value) !== 0
  }

  toNumber(value: Value): number {
    return this.#exports.qjs_get_float64(value)
  }

  /** As it would be concatenated. */
  toText(value: Value): string {
    return this.withUtf8(value, (bytes) => bytes.toString('utf8'))
  }

  /** The same, as bytes that are there only while `use` runs. */
  withUtf8<T>(value: Value, use: (bytes: Buffer) => T): T {
    const lengthAt = this.#numbersAt
    const at = this.#exports.qjs_get_string_len(value, lengthAt)
    if (at === 0) return use(EMPTY)
    const bytes = this.#slice(at, this.#view.readUInt32LE(lengthAt))
    try {
      return use(replaceSurrogates(bytes))
    } finally {
      this.#exports.qjs_free_cstring(at)
    }
  }

  isString(value: Value): boolean {
    return this.#exports.qjs_is_string(value) !== 0
  }

  /** The bytes of a `Uint8Array` where they are: to be copied before the engine runs again. */
  viewBytes(value: Value): Buffer {
    const numbers = this.#numbersAt
    const buffer = this.#exports.qjs_get_typed_array_buffer(
      value,
      numbers,
      numbers + WORD_BYTES,
      numbers + 2 * WORD_BYTES,
    )
    if (buffer === 0) return EMPTY
    const offset = this.#view.readUInt32LE(numbers)
    const length = this.#view.readUInt32LE(numbers + WORD_BYTES)
    const at = this.#exports.qjs_get_array_buffer(buffer, numbers)
    this.#exports.qjs_free_value(buffer)
    return length === 0 || at === 0 ? EMPTY : this.#slice(at + offset, length)
  }

  get #numbersAt(): number {
    return this.state.scratch + SCRATCH_BYTES - NUMBERS_BYTES
  }

  /** Growing a memory gives it another buffer. */
  get #view(): Buffer {
    if (this.#bytes.length === 0) this.#bytes = Buffer.from(this.memory.buffer)
    return this.#bytes
  }

  #slice(at: number, length: number): Buffer {
    const bytes = this.#view
    const from = at >>> 0
    if (from + length > bytes.length) trap(badAddress())
    return bytes.subarray(from, from + length)
  }

  /** A copy of the text behind which stands a zero byte. */
  #put(text: string): { readonly at: number; readonly length: number } {
    const length = Buffer.byteLength(text)
    const at = this.#reserve(length + 1)
    this.#view.write(text, at, 'utf8')
    this.#view[at + length] = 0
    return { at, length }
  }

  #reserve(length: number): number {
    const at = this.#exports.malloc(Math.max(length, 1))
    if (at === 0) trap(outOfMemory())
    this.#slice(at, length)
    return at >>> 0
  }

  #checked(value: Value): Value {
    if (this.#exports.qjs_is_exception(value) === 0) return value
    throw new EngineException(this.#exports.qjs_get_exception())
  }

  #imports(): WebAssembly.Imports {
    const { memory } = this
    const host = this.#host
    return {
      [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory },
      env: {
        host_call: (name: number, _length: number, _self: Value, count: number, args: number) =>
          this.#callOut(name, count, args),
        host_interrupt: () => (host.isInterrupted() ? 1 : 0),
        host_promise_rejection: (promise: Value, reason: Value, isHandled: number) => {
          host.onRejection(this.#exports.qjs_get_value_ptr(promise), reason, isHandled !== 0)
          this.#exports.qjs_free_value(promise)
          this.#exports.qjs_free_value(reason)
        },
        // There is one file, and nothing to import from.
        host_module_normalize: nothing,
        host_module_load: nothing,
        // UTC, wherever the node is.
        host_get_timezone_offset: nothing,
      },
      wasi_snapshot_preview1: {
        clock_time_get: (_clock: number, _precision: bigint, at: number) => this.#writeTime(at),
        random_get: nothing,
        fd_close: noFile,
        fd_fdstat_get: noFile,
        fd_seek: noFile,
        fd_write: noFile,
      },
    }
  }

  #callOut(name: number, count: number, args: number): Value {
    const letter = String.fromCharCode(this.#slice(name, 1)[0] ?? 0)
    if (count > ARGUMENTS_MAX) trap(badAddress())
    const cells = count === 0 ? EMPTY : this.#slice(args, count * WORD_BYTES)
    const values: Value[] = []
    for (let index = 0; index < count; index++) values.push(cells.readUInt32LE(index * WORD_BYTES))
    const result = this.#host.call(letter, values)
    return result === 0 ? this.#exports.qjs_get_undefined() : result
  }

  #writeTime(at: number): number {
    this.#slice(at, 8).writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n)
    return 0
  }
}

const EMPTY = Buffer.alloc(0)
/** U+FFFD. */
const REPLACEMENT = [0xef, 0xbf, 0xbd] as const
const noFile = (): number => ERRNO_BADF
const nothing = (): number => 0

/** The engine writes half of a surrogate pair that stands alone as it is, in three bytes; UTF-8 has a character for what is none. */
function replaceSurrogates(bytes: Buffer): Buffer {
  let result = bytes
  for (let at = bytes.indexOf(0xed); at !== -1; at = bytes.indexOf(0xed, at + 1)) {
    if ((bytes[at + 1] ?? 0) < 0xa0) continue
    if (result === bytes) result = Buffer.from(bytes)
    result.set(REPLACEMENT, at)
  }
  return result
}
