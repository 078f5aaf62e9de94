/** Codecs of what has parts: records and tuples, variants of all kinds, lists. */

import { FLAT_MAX, mismatch, type Codec, type CoreType, Flat } from './codec.ts'
import type { Conversion, CoreValue } from './conversion.ts'
import { refuse } from './handles.ts'

const ELEMENTS_MAX = 2 ** 24
const converter = new DataView(new ArrayBuffer(8))

export function alignTo(at: number, align: number): number {
  return Math.ceil(at / align) * align
}

/** A record (with names) or a tuple (without): its parts one after the other. */
export class ProductCodec implements Codec {
  readonly size: number
  readonly align: number
  readonly flat: readonly CoreType[] | null
  readonly #parts: readonly Codec[]
  readonly #offsets: readonly number[]
  readonly #names: readonly string[] | null

  constructor(parts: readonly Codec[], names: readonly string[] | null) {
    const offsets: number[] = []
    let end = 0
    let align = 1
    for (const part of parts) {
      const offset = alignTo(end, part.align)
      offsets.push(offset)
      end = offset + part.size
      align = Math.max(align, part.align)
    }
    this.#parts = parts
    this.#offsets = offsets
    this.#names = names
    this.align = align
    this.size = alignTo(end, align)
    this.flat = flatten(parts)
  }

  load(cx: Conversion, at: number): unknown {
    return this.#name(this.#parts.map((part, index) => part.load(cx, at + this.#offset(index))))
  }

  store(cx: Conversion, value: unknown, at: number): void {
    const values = this.#valuesOf(value)
    for (const [index, part] of this.#parts.entries()) {
      part.store(cx, values[index], at + this.#offset(index))
    }
  }

  lift(cx: Conversion, from: Flat): unknown {
    return this.#name(this.#parts.map((part) => part.lift(cx, from)))
  }

  lower(cx: Conversion, value: unknown, into: CoreValue[]): void {
    const values = this.#valuesOf(value)
    for (const [index, part] of this.#parts.entries()) part.lower(cx, values[index], into)
  }

  #offset(index: number): number {
    return this.#offsets[index] ?? 0
  }

  #name(values: readonly unknown[]): unknown {
    const names = this.#names
    if (names === null) return values
    return Object.fromEntries(values.map((value, index) => [names[index], value]))
  }

  #valuesOf(value: unknown): readonly unknown[] {
    if (this.#names === null) return Array.isArray(value) ? value : mismatch(value, 'a tuple')
    if (typeof value !== 'object' || value === null) return mismatch(value, 'a record')
    const record: Readonly<Record<string, unknown>> = { ...value }
    return this.#names.map((name) => record[name])
  }
}

function flatten(parts: readonly Codec[]): readonly CoreType[] | null {
  const flat: CoreType[] = []
  for (const part of parts) {
    if (part.flat === null || flat.length + part.flat.length > FLAT_MAX) return null
    flat.push(...part.flat)
  }
  return flat
}

/** How a case looks in JavaScript. */
export interface CaseShape {
  readonly wrap: (index: number, payload: unknown) => unknown
  /** Index and payload. */
  readonly unwrap: (value: unknown) => readonly [index: number, payload: unknown]
}

/** One of several cases, each with a payload or none. */
export class SumCodec implements Codec {
  readonly size: number
  readonly align: number
  readonly flat: readonly CoreType[] | null
  readonly #cases: readonly (Codec | null)[]
  readonly #shape: CaseShape
  readonly #tagBytes: 1 | 2 | 4
  readonly #payloadAt: number

  constructor(cases: readonly (Codec | null)[], shape: CaseShape) {
    const payloads = cases.filter((one) => one !== null)
    const align = Math.max(1, ...payloads.map((one) => one.align))
    this.#cases = cases
    this.#shape = shape
    this.#tagBytes = cases.length <= 256 ? 1 : cases.length <= 65_536 ? 2 : 4
    this.align = Math.max(align, this.#tagBytes)
    this.#payloadAt = alignTo(this.#tagBytes, align)
    const payloadBytes = Math.max(0, ...payloads.map((one) => one.size))
    this.size = alignTo(this.#payloadAt + payloadBytes, this.align)
    this.flat = join(payloads)
  }

  load(cx: Conversion, at: number): unknown {
    const index = this.#loadTag(cx.view, at)
    return this.#shape.wrap(index, this.#case(index)?.load(cx, at + this.#payloadAt))
  }

  store(cx: Conversion, value: unknown, at: number): void {
    const [index, payload] = this.#shape.unwrap(value)
    if (this.#tagBytes === 1) cx.view.setUint8(at, index)
    else if (this.#tagBytes === 2) cx.view.setUint16(at, index, true)
    else cx.view.setUint32(at, index, true)
    this.#cases[index]?.store(cx, payload, at + this.#payloadAt)
  }

  lift(cx: Conversion, from: Flat): unknown {
    const index = from.u32()
    const one = this.#case(index)
    const joined = this.flat?.slice(1) ?? []
    const values = from.take(joined.length)
    const types = one?.flat ?? []
    const own = types.map((type, at) => narrow(values[at] ?? 0, joined[at] ?? type, type))
    return this.#shape.wrap(index, one?.lift(cx, new Flat(own)))
  }

  lower(cx: Conversion, value: unknown, into: CoreValue[]): void {
    const [index, payload] = this.#shape.unwrap(value)
    const one = this.#cases[index]
    const own: CoreValue[] = []
    one?.lower(cx, payload, own)
    into.push(index)
    for (const [at, type] of (this.flat ?? []).slice(1).entries()) {
      into.push(widen(own[at], one?.flat?.[at] ?? type, type))
    }
  }

  #loadTag(view: DataView, at: number): number {
    if (this.#tagBytes === 1) return view.getUint8(at)
    return this.#tagBytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true)
  }

  #case(index: number): Codec | null {
    const one = this.#cases[index]
    return one === undefined ? refuse(`${index} is no case of ${this.#cases.length}`) : one
  }
}

/** Core types that hold any of the payloads, behind the one of the case. */
function join(payloads: readonly Codec[]): readonly CoreType[] | null {
  const joined: CoreType[] = []
  for (const { flat } of payloads) {
    if (flat === null) return null
    for (const [index, type] of flat.entries()) {
      const before = joined[index]
      joined[index] = before === undefined ? type : joinTwo(before, type)
    }
  }
  return joined.length < FLAT_MAX ? ['i32', ...joined] : null
}

function joinTwo(a: CoreType, b: CoreType): CoreType {
  if (a === b) return a
  return (a === 'i32' && b === 'f32') || (a === 'f32' && b === 'i32') ? 'i32' : 'i64'
}

/** From the type that was passed to the one that is meant, bit by bit. */
function narrow(value: CoreValue, passed: CoreType, meant: CoreType): CoreValue {
  if (passed === meant) return value
  if (passed === 'i64') converter.setBigInt64(0, BigInt(value), true)
  else converter.setInt32(0, Number(value), true)
  if (meant === 'i32') return converter.getInt32(0, true)
  return meant === 'f32' ? converter.getFloat32(0, true) : converter.getFloat64(0, true)
}

function widen(value: CoreValue | undefined, meant: CoreType, passed: CoreType): CoreValue {
  if (value === undefined) return passed === 'i64' ? 0n : 0
  if (passed === meant) return value
  converter.setBigInt64(0, 0n, true)
  if (meant === 'i32') converter.setInt32(0, Number(value), true)
  else if (meant === 'f32') converter.setFloat32(0, Number(value), true)
  else converter.setFloat64(0, Number(value), true)
  return passed === 'i64' ? converter.getBigInt64(0, true) : converter.getInt32(0, true)
}

abstract class ListCodec implements Codec {
  readonly size = 8
  readonly align = 4
  readonly flat = ['i32', 'i32'] as const

  load(cx: Conversion, at: number): unknown {
    return this.read(cx, cx.view.getUint32(at, true), cx.view.getUint32(at + 4, true))
  }

  store(cx: Conversion, value: unknown, at: number): void {
    const [address, length] = this.write(cx, value)
    cx.view.setUint32(at, address, true)
    cx.view.setUint32(at + 4, length, true)
  }

  lift(cx: Conversion, from: Flat): unknown {
    const at = from.u32()
    return this.read(cx, at, from.u32())
  }

  lower(cx: Conversion, value: unknown, into: CoreValue[]): void {
    into.push(...this.write(cx, value))
  }

  protected abstract read(cx: Conversion, at: number, length: number): unknown
  /** @returns address and length */
  protected abstract write(cx: Conversion, value: unknown): readonly [at: number, length: number]
}

export class BytesCodec extends ListCodec {
  protected override read(cx: Conversion, at: number, length: number): Uint8Array {
    return cx.read(at, length)
  }

  protected override write(cx: Conversion, value: unknown): readonly [number, number] {
    if (!(value instanceof Uint8Array)) return mismatch(value, 'list<u8>')
    return [cx.write(value), value.length]
  }
}

export class ElementsCodec extends ListCodec {
  readonly #element: Codec

  constructor(element: Codec) {
    super()
    this.#element = element
  }

  protected override read(cx: Conversion, at: number, length: number): unknown[] {
    const { size, align } = this.#element
    if (length > ELEMENTS_MAX) refuse(`a list has ${length} elements`)
    cx.check(at, length * size, align)
    const elements: unknown[] = []
    for (let index = 0; index < length; index++) {
      elements.push(this.#element.load(cx, at + index * size))
    }
    return elements
  }

  protected override write(cx: Conversion, value: unknown): readonly [number, number] {
    if (!Array.isArray(value)) return mismatch(value, 'a list')
    const { size, align } = this.#element
    const at = cx.allocate(value.length * size, align)
    for (const [index, element] of value.entries()) {
      this.#element.store(cx, element, at + index * size)
    }
    return [at, value.length]
  }
}
