/**
 * The ABI of the host functions: how what `quiver.wit` says becomes parameters and results of a core module.
 *
 * | in WIT | in the ABI |
 * | --- | --- |
 * | `string`, `list<u8>` as a parameter | two i32: address and length in bytes |
 * | `string`, `list<u8>` as the result | two more i32 parameters, address and capacity; the i32 result is the full length |
 * | `u64` | i64 |
 * | `u32`, `s32`, a handle, an enum | i32 |
 * | `result<T, error>` | as `T`, and i32 below 0 for an error; `result<_, error>` is 0 or an error |
 */

import { assert, AssertionFailed } from '../core/assert.ts'

import type { WitFunction, WitPackage, WitType } from './wit.ts'

export type CoreType = 'i32' | 'i64'

/** What the executor has to know of a host function. */
export interface GuestFunction {
  readonly module: string
  readonly name: string
  readonly params: readonly CoreType[]
  readonly results: readonly CoreType[]
  /** It may return later, and the guest's stack is set aside until then. */
  readonly mayWait: boolean
}

/** The kinds of values that bindings tell apart. */
export type AbiType = 'u32' | 's32' | 'u64' | 'handle' | 'level' | 'text' | 'bytes'

export interface AbiParam {
  /** As in C and Rust: `buffer_id`. */
  readonly name: string
  readonly type: AbiType
}

/** The same with what bindings and reference need. */
export interface AbiFunction extends GuestFunction {
  readonly docs: string
  /** Name of the interface it is of; null for one of the world itself. */
  readonly interfaceName: string | null
  readonly values: readonly AbiParam[]
  /** null: nothing but success or failure. */
  readonly value: AbiType | null
  /** The result may be an error. */
  readonly isFallible: boolean
}

/** Every function of every world, in the order of the source. */
export function lowerPackage(wit: WitPackage): readonly AbiFunction[] {
  return wit.worlds.flatMap((world) => {
    const own = world.functions.map((one) => lowerFunction(world.name, null, one))
    const imported = world.imports.flatMap((name) => {
      const found = wit.interfaces.find((one) => one.name === name)
      assert(found !== undefined, `WIT: there is no interface ${name}`)
      return found.functions.map((one) => lowerFunction(world.name, name, one))
    })
    return [...imported, ...own]
  })
}

/** `set-header` as in C, Rust and the names of imports: `set_header`. */
export function snakeCase(name: string): string {
  return name.replaceAll('-', '_')
}

/** A result that is written to memory of the guest. */
export function isArea(type: AbiType | null): boolean {
  return type === 'text' || type === 'bytes'
}

function lowerFunction(
  module: string,
  interfaceName: string | null,
  { name, docs, params, result, isAsync }: WitFunction,
): AbiFunction {
  const values = params.map((one) => ({ name: snakeCase(one.name), type: abiTypeOf(one.type) }))
  const isFallible = result?.name === 'result'
  const inner = isFallible ? result.args[0] : result
  const value =
    inner === undefined || inner === null || inner.name === '_' ? null : abiTypeOf(inner)
  const area: readonly CoreType[] = isArea(value) ? ['i32', 'i32'] : []
  const hasResult = isFallible || value !== null
  return {
    module,
    name: snakeCase(interfaceName === null ? name : `${interfaceName}-${name}`),
    params: [...values.flatMap(({ type }) => coreTypesOf(type)), ...area],
    results: hasResult ? [value === 'u64' ? 'i64' : 'i32'] : [],
    mayWait: isAsync,
    docs,
    interfaceName,
    values,
    value,
    isFallible,
  }
}

function coreTypesOf(type: AbiType): readonly CoreType[] {
  if (isArea(type)) return ['i32', 'i32']
  return [type === 'u64' ? 'i64' : 'i32']
}

function abiTypeOf({ name, args }: WitType): AbiType {
  if (name === 'string') return 'text'
  if (name === 'list' && args[0]?.name === 'u8') return 'bytes'
  const isPlain = name === 'u32' || name === 's32' || name === 'u64'
  if (isPlain || name === 'handle' || name === 'level') return name
  throw new AssertionFailed(`WIT: the ABI has no ${name}`)
}
