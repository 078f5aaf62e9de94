/**
 * Values of WIT as people write them: arguments of `quiver invoke`. A text, a character and the name of an enum are written as
 * they are, integers decimal or hexadecimal, and everything with parts as JSON. How they are printed: print-values.ts.
 */

import { QuiverError } from '../../core/error.ts'

import { describeType, type FunctionType, type PrimitiveKind, type ValueType } from './types.ts'

const SHOWN_LENGTH_MAX = 40
const SIGNATURE_LENGTH_MAX = 300

/**
 * @param signature  for messages: name and type
 * @returns values as codec.ts has them
 * @throws QuiverError `invalid_argument/CALL_ARGUMENTS`
 */
export function parseValues(
  signature: string,
  { params }: FunctionType,
  texts: readonly string[],
): readonly unknown[] {
  const shown = signature.slice(0, SIGNATURE_LENGTH_MAX)
  if (texts.length !== params.length) {
    const count = `${params.length} ${params.length === 1 ? 'argument' : 'arguments'}`
    throw refused(`${shown} takes ${count}, and ${texts.length} were given`)
  }
  return params.map(({ name, type }, index) => {
    const text = texts[index] ?? ''
    const value = isPlain(type) ? fromText(type, text) : fromJson(type, parseJson(text))
    if (value !== NO_VALUE) return value
    const wanted = describeType(type).slice(0, SIGNATURE_LENGTH_MAX)
    throw refused(`"${text.slice(0, SHOWN_LENGTH_MAX)}" is no ${wanted} for ${name} of ${shown}`)
  })
}

/** Whether people can write the arguments, and read the result: handles of resources they cannot. */
export function isWritable({ params, result }: FunctionType): boolean {
  return params.every(({ type }) => isValue(type)) && isValue(result)
}

const NO_VALUE = Symbol('no value')
const BITS: { readonly [kind in PrimitiveKind]?: readonly [bits: bigint, isSigned: boolean] } = {
  u8: [8n, false],
  s8: [8n, true],
  u16: [16n, false],
  s16: [16n, true],
  u32: [32n, false],
  s32: [32n, true],
  u64: [64n, false],
  s64: [64n, true],
}

function isPlain(type: ValueType): boolean {
  return type.kind === 'primitive' || type.kind === 'enum'
}

function isValue(type: ValueType | null): boolean {
  if (type === null) return true
  switch (type.kind) {
    case 'own':
    case 'borrow':
      return false
    case 'record':
      return type.fields.every((field) => isValue(field.type))
    case 'tuple':
      return type.types.every(isValue)
    case 'variant':
      return type.cases.every((one) => isValue(one.type))
    case 'option':
    case 'list':
      return isValue(type.type)
    case 'result':
      return isValue(type.ok) && isValue(type.error)
    case 'primitive':
    case 'enum':
    case 'flags':
      return true
    default:
      return type satisfies never
  }
}

function fromText(type: ValueType, text: string): unknown {
  if (type.kind === 'enum') return type.names.includes(text) ? text : NO_VALUE
  if (type.kind !== 'primitive') return NO_VALUE
  const { primitive } = type
  if (primitive === 'bool') return text === 'true' ? true : text === 'false' ? false : NO_VALUE
  if (primitive === 'f32' || primitive === 'f64') return fromFraction(text)
  if (primitive !== 'string' && primitive !== 'char') return fromInteger(primitive, text)
  const isOne = primitive === 'string' || Array.from(text).length === 1
  return isOne && text.isWellFormed() ? text : NO_VALUE
}

function fromInteger(kind: PrimitiveKind, text: string): unknown {
  const [, sign = '', digits] = /^([+-]?)(\d{1,20}|0[xX][\da-fA-F]{1,16})$/.exec(text) ?? []
  const [bits, isSigned] = BITS[kind] ?? []
  if (digits === undefined || bits === undefined) return NO_VALUE
  const value = sign === '-' ? -BigInt(digits) : BigInt(digits)
  const [least, most] =
    isSigned === true ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n]
  if (value < least || value > most) return NO_VALUE
  return bits === 64n ? value : Number(value)
}

function fromFraction(text: string): unknown {
  const [, sign = '', special] = /^([+-]?)(inf|infinity|nan)$/i.exec(text) ?? []
  if (special !== undefined) {
    if (special.toLowerCase() === 'nan') return Number.NaN
    return sign === '-' ? -Infinity : Infinity
  }
  const isNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) && text.length <= 400
  return isNumber ? Number(text) : NO_VALUE
}

/** A number in JSON, as it is written: JavaScript's own would lose the last digits of 64 bits. */
class NumberText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

interface ReviverContext {
  readonly source?: string
}

// The third argument is newer than the types of JSON.
const revive = (_key: string, value: unknown, ...[context]: readonly ReviverContext[]): unknown =>
  typeof value === 'number' ? new NumberText(context?.source ?? String(value)) : value

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, revive)
  } catch {
    return NO_VALUE
  }
}

/** @returns NO_VALUE when it is none of that type, or a part of it is not */
function fromJson(type: ValueType, json: unknown): unknown {
  switch (type.kind) {
    case 'primitive':
      if (typeof json === 'boolean') return type.primitive === 'bool' ? json : NO_VALUE
      if (json instanceof NumberText)
        return isText(type.primitive) ? NO_VALUE : fromText(type, json.text)
      return typeof json === 'string' && type.primitive !== 'bool' ? fromText(type, json) : NO_VALUE
    case 'enum':
      return typeof json === 'string' ? fromText(type, json) : NO_VALUE
    case 'flags':
      return flagsFrom(type.names, json)
    case 'list':
      return listFrom(type.type, json)
    case 'tuple':
      return Array.isArray(json) && json.length === type.types.length
        ? whole(type.types.map((one, index) => fromJson(one, json[index])))
        : NO_VALUE
    case 'record':
      return recordFrom(type, json)
    case 'option':
      return optionFrom(type.type, json)
    case 'result': {
      const cases = [
        { name: 'ok', type: type.ok },
        { name: 'err', type: type.error },
      ]
      return caseFrom(cases, json)
    }
    case 'variant':
      return caseFrom(type.cases, json)
    case 'own':
    case 'borrow':
      return NO_VALUE
    default:
      return type satisfies never
  }
}

function isText(kind: PrimitiveKind): boolean {
  return kind === 'string' || kind === 'char' || kind === 'bool'
}

function whole(values: readonly unknown[]): unknown {
  return values.includes(NO_VALUE) ? NO_VALUE : values
}

function listFrom(type: ValueType, json: unknown): unknown {
  if (!Array.isArray(json)) return NO_VALUE
  const values = json.map((one) => fromJson(type, one))
  if (values.includes(NO_VALUE)) return NO_VALUE
  const isBytes = type.kind === 'primitive' && type.primitive === 'u8'
  return isBytes ? Uint8Array.from(values, Number) : values
}

function recordFrom(type: Extract<ValueType, { kind: 'record' }>, json: unknown): unknown {
  const fields = fieldsOf(json)
  if (fields === undefined) return NO_VALUE
  const names = type.fields.map(({ name }) => name)
  if (Object.keys(fields).some((name) => !names.includes(name))) return NO_VALUE
  const values = type.fields.map((field) => fromJson(field.type, fields[field.name] ?? null))
  if (values.includes(NO_VALUE)) return NO_VALUE
  return Object.fromEntries(names.map((name, index) => [name, values[index]]))
}

function optionFrom(type: ValueType, json: unknown): unknown {
  if (json === null) return undefined
  const value = fromJson(type, json)
  return value !== NO_VALUE && type.kind === 'option' ? [value] : value
}

/** `"name"`, or `{"name": value}`. */
function caseFrom(
  cases: readonly { readonly name: string; readonly type: ValueType | null }[],
  json: unknown,
): unknown {
  const entries =
    typeof json === 'string' ? [[json, null] as const] : Object.entries(fieldsOf(json) ?? {})
  const [[name, inner] = [], ...others] = entries
  const found = cases.find((one) => one.name === name)
  if (found === undefined || others.length > 0) return NO_VALUE
  if (found.type === null) return inner === null ? { tag: found.name } : NO_VALUE
  const val = fromJson(found.type, inner)
  return val === NO_VALUE ? NO_VALUE : { tag: found.name, val }
}

function flagsFrom(names: readonly string[], json: unknown): unknown {
  if (!Array.isArray(json) || json.some((one) => !names.includes(String(one)))) return NO_VALUE
  return (
    names.reduce((bits, name, index) => (json.includes(name) ? bits | (1 << index) : bits), 0) >>> 0
  )
}

function fieldsOf(json: unknown): Readonly<Record<string, unknown>> | undefined {
  const isObject =
    typeof json === 'object' &&
    json !== null &&
    !Array.isArray(json) &&
    !(json instanceof NumberText)
  return isObject ? { ...json } : undefined
}

function refused(message: string): QuiverError {
  return new QuiverError('invalid_argument', 'CALL_ARGUMENTS', message, {
    hint: "Write integers, true, false and texts as they are, and lists and records as JSON: '[1, 2]' '{\"x\": 1}'.",
  })
}
