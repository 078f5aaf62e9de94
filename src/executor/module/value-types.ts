/**
 * Types of the binary format: values, functions, limits, and the structs and arrays of the GC proposal.
 *
 * Only what their encoding demands is checked; whether they fit each other is for the engine's own validation to say.
 */

import type { FunctionType, Limits, ValueType } from '../facts.ts'

import type { ByteReader } from './byte-reader.ts'

const TYPES_MAX = 100_000
const PARAMS_MAX = 1000
/** Values in all signatures together. */
const VALUES_MAX = 1_000_000
const FIELDS_MAX = 10_000
const FLAG = { MAXIMUM: 1, SHARED: 2, IS_64: 4 }

/** Codes are those of the binary format; the abstract heap types double as short forms of nullable references. */
const NUMBERS: Readonly<Record<number, string>> = {
  0x7f: 'i32',
  0x7e: 'i64',
  0x7d: 'f32',
  0x7c: 'f64',
  0x7b: 'v128',
}
const PACKED: Readonly<Record<number, string>> = { 0x78: 'i8', 0x77: 'i16' }
const HEAP: Readonly<Record<number, string>> = {
  0x74: 'noexn',
  0x73: 'nofunc',
  0x72: 'noextern',
  0x71: 'none',
  0x70: 'func',
  0x6f: 'extern',
  0x6e: 'any',
  0x6d: 'eq',
  0x6c: 'i31',
  0x6b: 'struct',
  0x6a: 'array',
  0x69: 'exn',
}

/** Reads the body of a type section. A type that is no function is null. */
export function readTypes(reader: ByteReader): readonly (FunctionType | null)[] {
  const groups = reader.count('types', TYPES_MAX)
  const types: (FunctionType | null)[] = []
  const budget = { values: VALUES_MAX }
  for (let index = 0; index < groups; index++) {
    const isGroup = reader.bytes[reader.offset] === 0x4e && !reader.isAtEnd
    if (isGroup) reader.offset++
    const members = isGroup ? reader.count('types in a group', TYPES_MAX) : 1
    for (let member = 0; member < members; member++) types.push(readType(reader, budget))
    if (types.length > TYPES_MAX) reader.refuse(`has more than ${TYPES_MAX} types`)
  }
  return types
}

export function readValueType(reader: ByteReader): ValueType {
  const at = reader.offset
  const code = reader.u8('a value type')
  const name = NUMBERS[code]
  if (name !== undefined) return name
  if (code === 0x63) return `(ref null ${readHeapType(reader)})`
  if (code === 0x64) return `(ref ${readHeapType(reader)})`
  const heap = HEAP[code]
  if (heap !== undefined) return `${heap}ref`
  return reader.fail(`0x${code.toString(16)} is no value type that is known here`, at)
}

/** Limits of a memory or a table, in their own unit. */
export function readLimits(reader: ByteReader, what: string): Limits {
  const at = reader.offset
  const flags = reader.u8(`the limits of a ${what}`)
  if (flags > (FLAG.MAXIMUM | FLAG.SHARED | FLAG.IS_64)) {
    reader.fail(`0x${flags.toString(16)} are no limits of a ${what} that are known here`, at)
  }
  const is64 = (flags & FLAG.IS_64) !== 0
  const isShared = (flags & FLAG.SHARED) !== 0
  const read = (name: string): number => (is64 ? reader.u64(name) : reader.u32(name))
  const initial = read(`the initial size of a ${what}`)
  const maximum = (flags & FLAG.MAXIMUM) === 0 ? null : read(`the maximum of a ${what}`)
  if (maximum !== null && maximum < initial) {
    reader.fail(`a ${what} has a maximum of ${maximum}, below its initial ${initial}`, at)
  }
  if (isShared && maximum === null) reader.fail(`a shared ${what} has no maximum`, at)
  return { initial, maximum, is64, isShared }
}

/** Passes over a constant expression, whose value is not needed. */
export function skipConstant(reader: ByteReader): void {
  for (;;) {
    const at = reader.offset
    const opcode = reader.u8('a constant expression')
    if (opcode === 0x0b) return
    if (opcode === 0x41) reader.skipLeb(5, 'an i32 constant')
    else if (opcode === 0x42) reader.skipLeb(10, 'an i64 constant')
    else if (opcode === 0x43) reader.skip(4, 'an f32 constant')
    else if (opcode === 0x44) reader.skip(8, 'an f64 constant')
    else if (opcode === 0x23 || opcode === 0xd2) reader.u32('an index')
    else if (opcode === 0xd0) readHeapType(reader)
    else if (opcode === 0xfb) skipObject(reader)
    else if (opcode === 0xfd) skipVector(reader)
    else if (!isArithmetic(opcode)) {
      reader.fail(`instruction 0x${opcode.toString(16)} is not constant`, at)
    }
  }
}

/** Addition, subtraction and multiplication of the extended constant expressions. */
function isArithmetic(opcode: number): boolean {
  return (opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e)
}

/** struct.new(_default), array.new(_default|_fixed), ref.i31 and the two conversions: all that is constant behind 0xfb. */
function skipObject(reader: ByteReader): void {
  const at = reader.offset
  const operation = reader.u32('an operation')
  const operands = new Map([0, 1, 6, 7].map((code) => [code, 1])).set(8, 2)
  for (const code of [0x1a, 0x1b, 0x1c]) operands.set(code, 0)
  const count = operands.get(operation)
  if (count === undefined) return reader.fail(`operation 0xfb ${operation} is not constant`, at)
  for (let index = 0; index < count; index++) reader.u32('an index')
}

function skipVector(reader: ByteReader): void {
  const at = reader.offset
  const operation = reader.u32('an operation')
  if (operation !== 12) reader.fail(`operation 0xfd ${operation} is not constant`, at)
  reader.skip(16, 'a v128 constant')
}

function readType(reader: ByteReader, budget: { values: number }): FunctionType | null {
  let at = reader.offset
  let form = reader.u8('a type')
  if (form === 0x50 || form === 0x4f) {
    const supertypes = reader.count('supertypes', 1)
    for (let index = 0; index < supertypes; index++) reader.u32('a supertype')
    at = reader.offset
    form = reader.u8('a type')
  }
  if (form === 0x60) {
    return { params: readValues(reader, budget), results: readValues(reader, budget) }
  }
  if (form !== 0x5e && form !== 0x5f) {
    return reader.fail(`0x${form.toString(16)} is no type that is known here`, at)
  }
  const fields = form === 0x5f ? reader.count('fields', FIELDS_MAX, 2) : 1
  for (let index = 0; index < fields; index++) skipField(reader)
  return null
}

function readValues(reader: ByteReader, budget: { values: number }): readonly ValueType[] {
  const count = reader.count('parameters or results', PARAMS_MAX)
  budget.values -= count
  if (budget.values < 0) reader.refuse(`has more than ${VALUES_MAX} parameters in all`)
  const values: ValueType[] = []
  for (let index = 0; index < count; index++) values.push(readValueType(reader))
  return values
}

function skipField(reader: ByteReader): void {
  const code = reader.bytes[reader.offset]
  if (code !== undefined && PACKED[code] !== undefined) reader.skip(1, 'a field')
  else readValueType(reader)
  if (reader.u8('the mutability of a field') > 1) reader.fail('a mutability is neither 0 nor 1')
}

function readHeapType(reader: ByteReader): string {
  const at = reader.offset
  const code = reader.s33('a heap type')
  if (code >= 0) return String(code)
  const name = HEAP[code + 0x80]
  return name ?? reader.fail(`${code} is no heap type that is known here`, at)
}
