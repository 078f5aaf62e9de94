/** The exports of the engine that are used here, of 450: the ABI of `quickjs-wasi`. Sizes, addresses and flags are 32-bit numbers. */

export const STACK_POINTER = '__stack_pointer'
export const INITIALIZE = '_initialize'

/** The address of a cell with a value of the engine. */
export type Value = number

export interface EngineExports {
  readonly [STACK_POINTER]: WebAssembly.Global
  [INITIALIZE](): void
  malloc(size: number): number
  free(at: number): void
  qjs_init(): number
  qjs_get_runtime_ptr(): number
  qjs_get_context_ptr(): number
  qjs_set_runtime_and_context(runtime: number, context: number): void
  qjs_set_max_stack_size(size: number): void
  qjs_set_gc_threshold(size: number): void
  qjs_set_interrupt_handler(isOn: number): void
  qjs_set_promise_rejection_handler(isOn: number): void
  qjs_run_gc(): void
  /** The name ends with a zero byte. */
  qjs_eval(source: number, length: number, name: number, flags: number): Value
  qjs_call(target: Value, self: Value, count: number, args: number): Value
  qjs_is_job_pending(): number
  qjs_execute_pending_job(): number
  qjs_is_exception(value: Value): number
  qjs_get_exception(): Value
  qjs_free_value(value: Value): void
  qjs_get_undefined(): Value
  qjs_get_true(): Value
  qjs_get_false(): Value
  qjs_is_undefined(value: Value): number
  qjs_is_string(value: Value): number
  qjs_get_bool(value: Value): number
  qjs_get_float64(value: Value): number
  /** @returns where the text is, or 0. @param length  where its length is written */
  qjs_get_string_len(value: Value, length: number): number
  qjs_free_cstring(at: number): void
  /** Names of properties end with a zero byte. */
  qjs_get_prop_string(object: Value, name: number): Value
  qjs_set_prop_string(object: Value, name: number, value: Value): number
  qjs_new_object(): Value
  qjs_new_string(at: number, length: number): Value
  qjs_new_number(value: number): Value
  qjs_new_uint8_array(at: number, length: number): Value
  qjs_new_host_function(name: number, length: number, parameters: number): Value
  qjs_get_typed_array_buffer(value: Value, offset: number, length: number, size: number): Value
  qjs_get_array_buffer(value: Value, length: number): number
  qjs_promise_state(value: Value): number
  qjs_promise_result(value: Value): Value
  qjs_is_promise(value: Value): number
  /** Names an object. */
  qjs_get_value_ptr(value: Value): number
}

const FUNCTIONS = [
  ...([INITIALIZE, 'malloc', 'free', 'qjs_init', 'qjs_get_runtime_ptr'] as const),
  ...(['qjs_get_context_ptr', 'qjs_set_runtime_and_context', 'qjs_set_max_stack_size'] as const),
  ...(['qjs_set_gc_threshold', 'qjs_set_interrupt_handler', 'qjs_run_gc', 'qjs_eval'] as const),
  ...(['qjs_set_promise_rejection_handler', 'qjs_call', 'qjs_is_job_pending'] as const),
  ...(['qjs_execute_pending_job', 'qjs_is_exception', 'qjs_get_exception'] as const),
  ...(['qjs_free_value', 'qjs_get_undefined', 'qjs_get_true', 'qjs_get_false'] as const),
  ...(['qjs_is_undefined', 'qjs_is_string', 'qjs_get_bool', 'qjs_get_float64'] as const),
  ...(['qjs_get_string_len', 'qjs_free_cstring', 'qjs_get_prop_string'] as const),
  ...(['qjs_set_prop_string', 'qjs_new_object', 'qjs_new_string', 'qjs_new_number'] as const),
  ...(['qjs_new_uint8_array', 'qjs_new_host_function', 'qjs_get_typed_array_buffer'] as const),
  ...(['qjs_get_array_buffer', 'qjs_promise_state', 'qjs_promise_result'] as const),
  ...(['qjs_is_promise', 'qjs_get_value_ptr'] as const),
] as const satisfies readonly (keyof EngineExports)[]

/** What an instance keeps of its exports: each that nobody calls would cost every instance an object. */
export const ENGINE_EXPORTS: ReadonlySet<string> = new Set([STACK_POINTER, ...FUNCTIONS])

export function isEngine(exports: object): exports is EngineExports {
  return FUNCTIONS.every((name) => name in exports) && STACK_POINTER in exports
}
