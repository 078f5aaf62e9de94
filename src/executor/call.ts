/**
 * Calls of exports over HTTP: `POST /.well-known/quiver/call/<export>` with the arguments as JSON. What a module answers by itself
 * (run/invoke.ts), a program in a sandbox answers in its own way. The proxy says who calls; without its word there is no call.
 */

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'

import { describeSignature, type FunctionType, type ValueType } from './facts.ts'

export const CALL_PATH = '/.well-known/quiver/call/'
/** Set by the proxy, which takes it from everybody else: the task that calls, or `control`. */
export const FROM_HEADER = 'x-quiver-from'
/** Those that wait for this call, the first caller first. */
export const CHAIN_HEADER = 'quiver-call-chain'
export const CHAIN_MAX = 8

const COMPARED_LENGTH_MAX = 64
const COMPARED_NAMES_MAX = 1000
const LISTED_MAX = 10
const LISTED_LENGTH_MAX = 500

export interface CallBody {
  /** As people write numbers. */
  readonly args: readonly string[]
  /** Base64, as all bytes here. */
  readonly input?: string
  /** Name, value, name, value … */
  readonly inputHeaders?: readonly string[]
  /** By id. */
  readonly buffers?: Readonly<Record<string, string>>
}

export interface CallAnswer {
  /** Null: it returned nothing. */
  readonly value: string | null
  /** Absent: it wrote no output. */
  readonly output?: {
    readonly status: number
    readonly headers: readonly string[]
    readonly body: string
  }
}

export function callTarget(name: string): string {
  return `${CALL_PATH}${encodeURIComponent(name)}`
}

/** @throws QuiverError `invalid_argument/CALL_MALFORMED` */
export function parseCallBody(bytes: Uint8Array): CallBody {
  const fields = fieldsOf(parseJson(bytes))
  if (fields === undefined) throw malformed('JSON')
  const { args, input = '', inputHeaders = [], buffers = {} } = fields
  const isCall = isTexts(args) && typeof input === 'string' && isTexts(inputHeaders)
  if (!isCall || !isTextRecord(buffers)) throw malformed('arguments')
  return { args, input, inputHeaders, buffers }
}

/** What a program in a sandbox answers is read the same way: only `value` has to be there. @throws QuiverError `unavailable/CALL_ANSWER_INVALID` */
export function parseCallAnswer(bytes: Uint8Array): CallAnswer {
  const fields = fieldsOf(parseJson(bytes))
  if (fields === undefined) throw invalidAnswer('it is no JSON object')
  const { value = null, output } = fields
  const isNumber = typeof value === 'number' || typeof value === 'string'
  if (!isNumber && value !== null) throw invalidAnswer('its value is no number')
  const text = value === null ? null : String(value)
  if (output === undefined) return { value: text }
  const { status = 200, headers = [], body = '' } = fieldsOf(output) ?? {}
  if (typeof status !== 'number' || !isTexts(headers) || typeof body !== 'string') {
    throw invalidAnswer('its output is malformed')
  }
  return { value: text, output: { status, headers, body } }
}

/**
 * Arguments for an export, from how people write them: decimal or hexadecimal integers, also as unsigned ones; decimals, `inf`, `nan`.
 *
 * @throws QuiverError `invalid_argument/CALL_ARGUMENTS` that names the signature
 */
export function parseArguments(
  name: string,
  signature: FunctionType,
  args: readonly string[],
): readonly (number | bigint)[] {
  const shown = `${name}${describeSignature(signature)}`
  if (args.length !== signature.params.length) {
    const count = `${signature.params.length} ${signature.params.length === 1 ? 'argument' : 'arguments'}`
    throw badArguments(`${shown} takes ${count}, and ${args.length} were given`)
  }
  return signature.params.map((type, index) => {
    const text = args[index] ?? ''
    if (!PARSERS.has(type)) throw badArguments(`${shown} cannot be called: it takes a ${type}`)
    const value = PARSERS.get(type)?.(text)
    if (value !== undefined) return value
    throw badArguments(`"${text.slice(0, 40)}" is not an ${type} for ${shown}`)
  })
}

/** @returns undefined when the text is no such number, or there is no text */
export function parseNumber(type: ValueType, text: string | null): number | bigint | undefined {
  return text === null ? undefined : PARSERS.get(type)?.(text)
}

/** @throws QuiverError `invalid_argument/CALL_ARGUMENTS` */
export function assertPrintable(name: string, signature: FunctionType): void {
  const { results } = signature
  const isPrintable = results.length <= 1 && results.every((type) => PARSERS.has(type))
  if (isPrintable) return
  const shown = `${name}${describeSignature(signature)}`
  throw badArguments(`${shown} cannot be called: it returns more than one number`)
}

/** @param names  of what there is */
export function exportNotFound(task: string, name: string, names: readonly string[]): QuiverError {
  // Names are hostile, and comparing them costs the product of their lengths.
  const near = names
    .slice(0, COMPARED_NAMES_MAX)
    .filter(({ length }) => length < COMPARED_LENGTH_MAX)
  const nearest = name.length > COMPARED_LENGTH_MAX ? undefined : nearestName(name, near)
  const listed = names.slice(0, LISTED_MAX).join(', ').slice(0, LISTED_LENGTH_MAX)
  const there = listed === '' ? 'It exports none that could be called.' : `There are: ${listed}.`
  const message = `${task} exports no function "${name.slice(0, COMPARED_LENGTH_MAX)}"`
  return new QuiverError('not_found', 'EXPORT_NOT_FOUND', message, {
    hint: nearest === undefined ? there : `Did you mean "${nearest}"?`,
  })
}

/** @throws QuiverError `invalid_argument/CALL_ARGUMENTS`: values that are made for one task alone are not passed */
export function assertTextsAlone(task: string, { input = '', buffers = {} }: CallBody): void {
  if (input === '' && Object.keys(buffers).length === 0) return
  throw badArguments(`${task} is called with texts alone: it has no buffers`)
}

/** @param result  of a function that `assertPrintable` let pass */
export function formatResult(result: unknown): string | null {
  if (typeof result !== 'number' && typeof result !== 'bigint') return null
  return Object.is(result, -0) ? '-0' : String(result)
}

type ParseNumber = (text: string) => number | bigint | undefined

const PARSERS: ReadonlyMap<ValueType, ParseNumber> = new Map<ValueType, ParseNumber>([
  ['i32', (text) => toI32(parseInteger(text))],
  ['i64', (text) => inRange(parseInteger(text), 64n)],
  ['f32', parseFloatText],
  ['f64', parseFloatText],
])

function parseInteger(text: string): bigint | undefined {
  const [, sign = '', digits] = /^([+-]?)(\d{1,20}|0[xX][\da-fA-F]{1,16})$/.exec(text) ?? []
  if (digits === undefined) return undefined
  return sign === '-' ? -BigInt(digits) : BigInt(digits)
}

/** An integer may be written as a signed or as an unsigned number. */
function inRange(value: bigint | undefined, bits: bigint): bigint | undefined {
  if (value === undefined || value < -(1n << (bits - 1n)) || value >= 1n << bits) return undefined
  return BigInt.asIntN(Number(bits), value)
}

function toI32(value: bigint | undefined): number | undefined {
  const fitting = inRange(value, 32n)
  return fitting === undefined ? undefined : Number(fitting)
}

function parseFloatText(text: string): number | undefined {
  const [, sign = '', special] = /^([+-]?)(inf|infinity|nan)$/i.exec(text) ?? []
  if (special !== undefined) {
    if (special.toLowerCase() === 'nan') return Number.NaN
    return sign === '-' ? -Infinity : Infinity
  }
  const isNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) && text.length <= 400
  return isNumber ? Number(text) : undefined
}

type Fields = Readonly<Record<string, unknown>>

/** @returns undefined for what is no JSON */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    return undefined
  }
}

function fieldsOf(value: unknown): Fields | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? { ...value } : undefined
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function isTextRecord(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && isTexts(Object.values(value))
}

function malformed(what: string): QuiverError {
  return new QuiverError(
    'invalid_argument',
    'CALL_MALFORMED',
    `the call is malformed: bad ${what}`,
    {
      hint: 'Send {"args": ["2", "40"]}: numbers as texts.',
    },
  )
}

function invalidAnswer(why: string): QuiverError {
  const message = `the callee gave no answer to a call: ${why}`
  return new QuiverError('unavailable', 'CALL_ANSWER_INVALID', message, {
    hint: 'A server answers a call with {"value": "42"}, or {"value": null}.',
  })
}

function badArguments(message: string): QuiverError {
  return new QuiverError('invalid_argument', 'CALL_ARGUMENTS', message, {
    hint: 'Integers are decimal or hexadecimal, fractions decimal: one for each parameter.',
  })
}
