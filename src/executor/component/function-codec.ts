/** How the functions of the component model are called through core functions, in both directions. */

import {
  BytesCodec,
  type CaseShape,
  ElementsCodec,
  ProductCodec,
  SumCodec,
} from './codec-aggregate.ts'
import {
  Flat,
  flagsCodec,
  handleCodec,
  mismatch,
  scalarCodec,
  STRING_CODEC,
  type Codec,
} from './codec.ts'
import type { Conversion, CoreValue } from './conversion.ts'
import { refuse } from './handles.ts'
import type { FunctionType, ValueType } from './types.ts'

/** What a function of type `result` gives when it fails. Host functions throw it, for it is no bug. */
export class Failure {
  readonly payload: unknown

  constructor(payload?: unknown) {
    this.payload = payload
  }
}

export class FunctionCodec {
  readonly #params: ProductCodec
  readonly #result: Codec | null
  readonly #isFallible: boolean

  constructor(type: FunctionType, codecOf: (type: ValueType) => Codec) {
    const params = type.params.map((param) => codecOf(param.type))
    this.#params = new ProductCodec(params, null)
    this.#result = type.result === null ? null : codecOf(type.result)
    this.#isFallible = type.result?.kind === 'result'
  }

  /** What a guest passed to a lowered function. */
  liftParams(cx: Conversion, flat: readonly CoreValue[]): readonly unknown[] {
    const from = new Flat(flat)
    const values =
      this.#params.flat === null
        ? this.#loadAt(cx, this.#params, from.u32())
        : this.#params.lift(cx, from)
    return Array.isArray(values) ? values : []
  }

  /** What is returned to a guest by a lowered function: the value, or where its last parameter says. */
  lowerResult(cx: Conversion, value: unknown, flat: readonly CoreValue[]): CoreValue | undefined {
    const result = this.#result
    if (result === null) return undefined
    if (result.flat?.length === 1) {
      const into: CoreValue[] = []
      result.lower(cx, value, into)
      return into[0]
    }
    const at = Number(flat.at(-1) ?? 0) >>> 0
    cx.check(at, result.size, result.align)
    result.store(cx, value, at)
    return undefined
  }

  /** As a value of its type: what a host function returned. */
  succeed(value: unknown): unknown {
    return this.#isFallible ? { tag: 'ok', val: value } : value
  }

  /** What a host function threw, as the result that stands for it. */
  fail(thrown: unknown): unknown {
    if (this.#isFallible && thrown instanceof Failure) return { tag: 'err', val: thrown.payload }
    throw thrown
  }

  /** Arguments of a lifted function, for its core function. */
  lowerParams(cx: Conversion, values: readonly unknown[]): readonly CoreValue[] {
    const { flat, size, align } = this.#params
    if (flat === null) {
      const at = cx.allocate(size, align)
      this.#params.store(cx, values, at)
      return [at]
    }
    const into: CoreValue[] = []
    this.#params.lower(cx, values, into)
    return into
  }

  /** What a lifted function's core function returned. */
  liftResult(cx: Conversion, returned: unknown): unknown {
    const result = this.#result
    if (result === null) return undefined
    if (typeof returned !== 'number' && typeof returned !== 'bigint') {
      return refuse('a function returns nothing where something is declared')
    }
    if (result.flat?.length === 1) return result.lift(cx, new Flat([returned]))
    return this.#loadAt(cx, result, Number(returned) >>> 0)
  }

  #loadAt(cx: Conversion, codec: Codec, at: number): unknown {
    cx.check(at, codec.size, codec.align)
    return codec.load(cx, at)
  }
}

/** Codecs are made once for each type of a plan. */
export class Codecs {
  readonly #known = new Map<ValueType, Codec>()

  readonly of = (type: ValueType): Codec => {
    const known = this.#known.get(type)
    if (known !== undefined) return known
    const made = this.#make(type)
    this.#known.set(type, made)
    return made
  }

  #make(type: ValueType): Codec {
    switch (type.kind) {
      case 'primitive':
        return type.primitive === 'string' ? STRING_CODEC : scalarCodec(type.primitive)
      case 'record': {
        const parts = type.fields.map((field) => this.of(field.type))
        const names = type.fields.map(({ name }) => name)
        return new ProductCodec(parts, names)
      }
      case 'tuple':
        return new ProductCodec(type.types.map(this.of), null)
      case 'variant': {
        const cases = type.cases.map((one) => (one.type === null ? null : this.of(one.type)))
        return new SumCodec(cases, taggedShape(type.cases.map(({ name }) => name)))
      }
      case 'result': {
        const cases = [type.ok, type.error].map((one) => (one === null ? null : this.of(one)))
        return new SumCodec(cases, taggedShape(['ok', 'err']))
      }
      case 'option':
        return new SumCodec([null, this.of(type.type)], optionShape(type.type.kind === 'option'))
      case 'enum':
        return new SumCodec(
          type.names.map(() => null),
          enumShape(type.names),
        )
      case 'flags':
        return flagsCodec(type.names.length)
      case 'list':
        return type.type.kind === 'primitive' && type.type.primitive === 'u8'
          ? new BytesCodec()
          : new ElementsCodec(this.of(type.type))
      case 'own':
      case 'borrow':
        return handleCodec(type.kind, type.resource)
      default:
        return type satisfies never
    }
  }
}

function taggedShape(names: readonly string[]): CaseShape {
  const indices = new Map(names.map((name, index) => [name, index]))
  return {
    wrap: (index, val) => ({ tag: names[index], val }),
    unwrap: (value) => {
      if (typeof value !== 'object' || value === null || !('tag' in value)) {
        return mismatch(value, 'a variant')
      }
      const index = indices.get(String(value.tag))
      if (index === undefined) return mismatch(value, `one of ${names.join(', ')}`)
      return [index, 'val' in value ? value.val : undefined]
    },
  }
}

function enumShape(names: readonly string[]): CaseShape {
  const indices = new Map(names.map((name, index) => [name, index]))
  return {
    wrap: (index) => names[index],
    unwrap: (value) => [indices.get(String(value)) ?? mismatch(value, 'an enum'), undefined],
  }
}

function optionShape(isNested: boolean): CaseShape {
  return {
    wrap: (index, payload) => (index === 0 ? undefined : isNested ? [payload] : payload),
    unwrap: (value) => {
      if (value === undefined) return [0, undefined]
      return [1, isNested && Array.isArray(value) ? value[0] : value]
    },
  }
}
