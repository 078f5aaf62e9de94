/**
 * How values of a type lie in a guest's memory, and how they are passed as core values.
 *
 * Spec: github.com/WebAssembly/component-model, design/mvp/CanonicalABI.md. In JavaScript a value is what one expects, and:
 * `u64` and `s64` are bigints, a record an object, a tuple an array, an enum its name, flags an unsigned number with the
 * first flag in bit 0, `list<u8>` a `Uint8Array`, a variant `{ tag, val }` (a result too, with `ok` and `err`), an option
 * its value or undefined (an option within an option `[value]`), and a handle what it stands for.
 */

import type { Conversion, CoreValue } from './conversion.ts'
import { refuse } from './handles.ts'
import type { PrimitiveKind, ResourceType } from './types.ts'

export type CoreType = 'i32' | 'i64' | 'f32' | 'f64'

export interface Codec {
  /** In memory. */
  readonly size: number
  readonly align: number
  /** Null: more than `FLAT_MAX`, so it is passed in memory. */
  readonly flat: readonly CoreType[] | null
  load(cx: Conversion, at: number): unknown
  store(cx: Conversion, value: unknown, at: number): void
  lift(cx: Conversion, from: Flat): unknown
  lower(cx: Conversion, value: unknown, into: CoreValue[]): void
}

/** More are passed in memory, as parameters of a function. */
export const FLAT_MAX = 16

/** Core values one after the other. */
export class Flat {
  readonly #values: readonly CoreValue[]
  #at = 0

  constructor(values: readonly CoreValue[]) {
    this.#values = values
  }

  next(): CoreValue {
    return this.#values[this.#at++] ?? 0
  }

  /** An i32, as an unsigned number. */
  u32(): number {
    return Number(this.next()) >>> 0
  }

  /** So many, as they are. */
  take(count: number): readonly CoreValue[] {
    this.#at += count
    return this.#values.slice(this.#at - count, this.#at)
  }
}

/** A host function returned what its type does not say: a bug of ours. */
export function mismatch(value: unknown, type: string): never {
  throw new TypeError(`a host function gives a ${typeof value} where ${type} is declared`)
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : mismatch(value, 'a number')
}

function bigintOf(value: unknown): bigint {
  return typeof value === 'bigint' ? value : mismatch(value, 'a 64-bit number')
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : mismatch(value, 'a string')
}

interface Scalar {
  readonly size: 1 | 2 | 4 | 8
  readonly core: CoreType
  /** From the core value, which may have more bits than the type. */
  readonly lift: (value: CoreValue) => unknown
  readonly lower: (value: unknown) => CoreValue
  readonly load: (view: DataView, at: number) => CoreValue
  readonly store: (view: DataView, at: number, value: CoreValue) => void
}

type Integer = Pick<Scalar, 'size' | 'core' | 'load' | 'store'>

const BYTE: Integer = {
  size: 1,
  core: 'i32',
  load: (view, at) => view.getUint8(at),
  store: (view, at, value) => view.setUint8(at, Number(value)),
}
const SHORT: Integer = {
  size: 2,
  core: 'i32',
  load: (view, at) => view.getUint16(at, true),
  store: (view, at, value) => view.setUint16(at, Number(value), true),
}
const WORD: Integer = {
  size: 4,
  core: 'i32',
  load: (view, at) => view.getUint32(at, true),
  store: (view, at, value) => view.setUint32(at, Number(value), true),
}
const LONG: Integer = {
  size: 8,
  core: 'i64',
  load: (view, at) => view.getBigUint64(at, true),
  store: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
}

const SCALARS: Readonly<Record<Exclude<PrimitiveKind, 'string'>, Scalar>> = {
  bool: {
    ...BYTE,
    lift: (value) => Number(value) !== 0,
    lower: (value) => (value === true ? 1 : 0),
  },
  u8: { ...BYTE, lift: (value) => Number(value) & 0xff, lower: numberOf },
  s8: { ...BYTE, lift: (value) => (Number(value) << 24) >> 24, lower: numberOf },
  u16: { ...SHORT, lift: (value) => Number(value) & 0xffff, lower: numberOf },
  s16: { ...SHORT, lift: (value) => (Number(value) << 16) >> 16, lower: numberOf },
  u32: { ...WORD, lift: (value) => Number(value) >>> 0, lower: numberOf },
  s32: { ...WORD, lift: (value) => Number(value) | 0, lower: numberOf },
  u64: { ...LONG, lift: (value) => BigInt.asUintN(64, BigInt(value)), lower: bigintOf },
  s64: { ...LONG, lift: (value) => BigInt.asIntN(64, BigInt(value)), lower: bigintOf },
  f32: {
    size: 4,
    core: 'f32',
    lift: Number,
    lower: numberOf,
    load: (view, at) => view.getFloat32(at, true),
    store: (view, at, value) => view.setFloat32(at, Number(value), true),
  },
  f64: {
    size: 8,
    core: 'f64',
    lift: Number,
    lower: numberOf,
    load: (view, at) => view.getFloat64(at, true),
    store: (view, at, value) => view.setFloat64(at, Number(value), true),
  },
  char: {
    ...WORD,
    lift: (value) => toCharacter(Number(value) >>> 0),
    lower: (value) => stringOf(value).codePointAt(0) ?? mismatch(value, 'a character'),
  },
}

function toCharacter(code: number): string {
  const isSurrogate = code >= 0xd800 && code <= 0xdfff
  if (code > 0x10ffff || isSurrogate) return refuse(`${code} is no character`)
  return String.fromCodePoint(code)
}

export function scalarCodec(kind: Exclude<PrimitiveKind, 'string'>): Codec {
  const { size, core, lift, lower, load, store } = SCALARS[kind]
  return {
    size,
    align: size,
    flat: [core],
    load: (cx, at) => lift(load(cx.view, at)),
    store: (cx, value, at) => store(cx.view, at, lower(value)),
    lift: (_cx, from) => lift(from.next()),
    lower: (_cx, value, into) => void into.push(lower(value)),
  }
}

/** Flags: one bit each in as many bytes as it takes. */
export function flagsCodec(count: number): Codec {
  const mask = 2 ** count - 1
  const { size, load, store } = count <= 8 ? BYTE : count <= 16 ? SHORT : WORD
  const clear = (value: CoreValue): number => ((Number(value) >>> 0) & mask) >>> 0
  return {
    size,
    align: size,
    flat: ['i32'],
    load: (cx, at) => clear(load(cx.view, at)),
    store: (cx, value, at) => store(cx.view, at, numberOf(value)),
    lift: (_cx, from) => clear(from.next()),
    lower: (_cx, value, into) => void into.push(numberOf(value)),
  }
}

export const STRING_CODEC: Codec = {
  size: 8,
  align: 4,
  flat: ['i32', 'i32'],
  load: (cx, at) => cx.readString(cx.view.getUint32(at, true), cx.view.getUint32(at + 4, true)),
  store: (cx, value, at) => {
    const [address, length] = cx.writeString(stringOf(value))
    cx.view.setUint32(at, address, true)
    cx.view.setUint32(at + 4, length, true)
  },
  lift: (cx, from) => {
    const at = from.u32()
    return cx.readString(at, from.u32())
  },
  lower: (cx, value, into) => void into.push(...cx.writeString(stringOf(value))),
}

function representationOf(value: unknown): number | object {
  if (typeof value === 'number' || (typeof value === 'object' && value !== null)) return value
  return mismatch(value, 'a resource')
}

export function handleCodec(kind: 'own' | 'borrow', resource: ResourceType): Codec {
  const lift = (cx: Conversion, index: number): unknown =>
    kind === 'own' ? cx.handles.take(index, resource) : cx.handles.get(index, resource)
  const lower = (cx: Conversion, value: unknown): number => {
    const representation = representationOf(value)
    if (kind === 'own') return cx.handles.add(resource, representation, true)
    // A component sees its own resources through.
    if (resource.owner === cx.owner && typeof representation === 'number') return representation
    return cx.lend(resource, representation)
  }
  return {
    size: 4,
    align: 4,
    flat: ['i32'],
    load: (cx, at) => lift(cx, cx.view.getUint32(at, true)),
    store: (cx, value, at) => {
      const index = lower(cx, value)
      cx.view.setUint32(at, index, true)
    },
    lift: (cx, from) => lift(cx, from.u32()),
    lower: (cx, value, into) => void into.push(lower(cx, value)),
  }
}
