/**
 * Type definitions in a component's binary.
 *
 * Encoding: github.com/WebAssembly/component-model, design/mvp/Binary.md, "Type Definitions".
 */

import { QuiverError } from '../../core/error.ts'
import type { ByteReader } from '../module/byte-reader.ts'

import type {
  AliasSyntax,
  Declaration,
  ExternSyntax,
  Sort,
  TypeRef,
  TypeSyntax,
  ValueSyntax,
} from './syntax.ts'
import type { PrimitiveKind } from './types.ts'

/** Fields, cases, parameters of one definition. */
const MEMBERS_MAX = 1000
const DECLARATIONS_MAX = 10_000
/** Types within types within types. */
const DEPTH_MAX = 32
const LABEL = /^[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*$/

/** By their code, from 0x73 on. */
const PRIMITIVES: readonly PrimitiveKind[] = [
  'string',
  'char',
  'f64',
  'f32',
  'u64',
  's64',
  'u32',
  's32',
  'u16',
  's16',
  'u8',
  's8',
  'bool',
]
const PRIMITIVE_FIRST = 0x73
const SORTS: Readonly<Record<number, Sort>> = {
  1: 'func',
  2: 'value',
  3: 'type',
  4: 'component',
  5: 'instance',
}
const CORE_SORTS: Readonly<Record<number, Sort>> = {
  0: 'core func',
  1: 'core table',
  2: 'core memory',
  3: 'core global',
  16: 'core type',
  17: 'core module',
  18: 'core instance',
}

export function readSort(reader: ByteReader): Sort {
  const at = reader.offset
  const code = reader.u8('a sort')
  const sort = code === 0 ? CORE_SORTS[reader.u8('a core sort')] : SORTS[code]
  return sort ?? reader.fail('this is no sort', at)
}

export function readCoreSort(reader: ByteReader): Sort {
  const at = reader.offset
  return CORE_SORTS[reader.u8('a core sort')] ?? reader.fail('this is no core sort', at)
}

/** The name of an import or export, behind its prefix; with 1, the rest of a version that is cut follows (as in module/component.ts). */
export function readExternName(reader: ByteReader): string {
  const at = reader.offset
  const prefix = reader.u8('a name')
  if (prefix > 1) reader.fail('a name has a prefix that is not known here', at)
  const name = reader.name('the name of an import or export')
  const isCut = prefix === 1 && /@\d+(?:\.\d+)?$/.test(name)
  return isCut ? name + reader.name('the rest of a version') : name
}

export function readAlias(reader: ByteReader): AliasSyntax {
  const sort = readSort(reader)
  const at = reader.offset
  const target = reader.u8('the target of an alias')
  if (target === 2) {
    const depth = reader.u32('a depth')
    return { kind: 'alias', sort, from: 'outer', depth, index: reader.u32('an index') }
  }
  if (target > 2) reader.fail(`${target} is no target of an alias`, at)
  const index = reader.u32('an instance')
  const from = target === 0 ? 'instance' : 'core instance'
  return { kind: 'alias', sort, from, index, name: reader.name('the name of an export') }
}

export function readExtern(reader: ByteReader): ExternSyntax {
  const at = reader.offset
  const sort = readSort(reader)
  if (sort === 'value') throw unsupported('values at its border')
  if (sort === 'type') {
    const bound = reader.u8('a bound')
    if (bound > 1) reader.fail(`${bound} is no bound of a type`)
    return { kind: 'type', equals: bound === 0 ? reader.u32('a type') : null }
  }
  const isKnown =
    sort === 'core module' || sort === 'func' || sort === 'component' || sort === 'instance'
  if (!isKnown) return reader.fail(`a ${sort} cannot be imported or exported`, at)
  return { kind: sort, type: reader.u32('a type') }
}

/** @param depth  of types around it */
export function readType(reader: ByteReader, depth = 0): TypeSyntax {
  if (depth > DEPTH_MAX) reader.refuse('has types that are nested too deep')
  const code = reader.isAtEnd ? 0 : (reader.bytes[reader.offset] ?? 0)
  switch (code) {
    case 0x40: {
      reader.offset++
      return { kind: 'func', params: readFields(reader, 0), result: readFunctionResult(reader) }
    }
    case 0x41:
      reader.offset++
      readDeclarations(reader, depth, true)
      return { kind: 'component' }
    case 0x42:
      reader.offset++
      return { kind: 'instance', declarations: readDeclarations(reader, depth, false) }
    case 0x3f: {
      reader.offset++
      if (reader.u8('what stands for a resource') !== 0x7f) reader.fail('a resource is no i32')
      return { kind: 'resource', destructor: readOptional(reader, (at) => at.u32('a destructor')) }
    }
    default:
      return { kind: 'value', type: readValue(reader) }
  }
}

function readFunctionResult(reader: ByteReader): TypeRef | null {
  const at = reader.offset
  const form = reader.u8('a result')
  if (form === 0) return readRef(reader)
  if (form !== 1 || reader.u8('the number of results') !== 0) {
    reader.fail('a function has one result or none', at)
  }
  return null
}

function readDeclarations(
  reader: ByteReader,
  depth: number,
  isComponent: boolean,
): readonly Declaration[] {
  const count = reader.count('declarations', DECLARATIONS_MAX, 2)
  const declarations: Declaration[] = []
  for (let index = 0; index < count; index++) {
    const at = reader.offset
    const code = reader.u8('a declaration')
    if (code === 1) declarations.push({ kind: 'type', type: readType(reader, depth + 1) })
    else if (code === 2) declarations.push(readAlias(reader))
    else if (code === 4) {
      const name = readExternName(reader)
      declarations.push({ kind: 'export', name, extern: readExtern(reader) })
    } else if (code === 3 && isComponent) {
      readExternName(reader)
      readExtern(reader)
    } else if (code === 0) throw unsupported('core types within types')
    else reader.fail(`${code} is no declaration`, at)
  }
  return declarations
}

function readValue(reader: ByteReader): ValueSyntax {
  const at = reader.offset
  const primitive = primitiveOf(reader.bytes[at])
  if (primitive !== undefined) {
    reader.offset++
    return { kind: 'alias', type: primitive }
  }
  const code = reader.u8('a type')
  switch (code) {
    case 0x72:
      return { kind: 'record', fields: readFields(reader, 1) }
    case 0x71:
      return { kind: 'variant', cases: readCases(reader) }
    case 0x70:
      return { kind: 'list', type: readRef(reader) }
    case 0x6f:
      return { kind: 'tuple', types: readMany(reader, 'types', 1, readRef) }
    case 0x6e:
    case 0x6d: {
      const names = readMany(reader, 'names', 1, readLabel)
      if (code === 0x6e && names.length > 32) reader.fail('there are more than 32 flags', at)
      return { kind: code === 0x6e ? 'flags' : 'enum', names }
    }
    case 0x6b:
      return { kind: 'option', type: readRef(reader) }
    case 0x6a:
      return {
        kind: 'result',
        ok: readOptional(reader, readRef),
        error: readOptional(reader, readRef),
      }
    case 0x69:
    case 0x68:
      return { kind: code === 0x69 ? 'own' : 'borrow', resource: reader.u32('a resource') }
    case 0x66:
    case 0x65:
    case 0x43:
      throw unsupported('streams, futures and asynchronous functions of WASI 0.3')
    default:
      return reader.fail(`0x${code.toString(16)} is no type that is known here`, at)
  }
}

function readCases(reader: ByteReader) {
  return readMany(reader, 'cases', 1, () => {
    const name = readLabel(reader)
    const type = readOptional(reader, readRef)
    if (reader.u8('the end of a case') !== 0) reader.fail('a case refines another one')
    return { name, type }
  })
}

function readFields(reader: ByteReader, countMin: number) {
  return readMany(reader, 'fields or parameters', countMin, () => {
    const name = readLabel(reader)
    return { name, type: readRef(reader) }
  })
}

function readMany<T>(
  reader: ByteReader,
  what: string,
  countMin: number,
  read: (reader: ByteReader) => T,
): readonly T[] {
  const at = reader.offset
  const count = reader.count(what, MEMBERS_MAX)
  if (count < countMin) reader.fail(`there are no ${what}`, at)
  const all: T[] = []
  for (let index = 0; index < count; index++) all.push(read(reader))
  return all
}

function readOptional<T>(reader: ByteReader, read: (reader: ByteReader) => T): T | null {
  const at = reader.offset
  const isThere = reader.u8('whether something follows')
  if (isThere > 1) reader.fail('something is neither there nor not', at)
  return isThere === 1 ? read(reader) : null
}

function readRef(reader: ByteReader): TypeRef {
  const primitive = primitiveOf(reader.bytes[reader.offset])
  if (primitive === undefined || reader.isAtEnd) return reader.u32('a type')
  reader.offset++
  return primitive
}

/** Labels become names of fields: no others get in. */
function readLabel(reader: ByteReader): string {
  const at = reader.offset
  const label = reader.name('a label')
  return LABEL.test(label) ? label : reader.fail(`"${label.slice(0, 64)}" is no label`, at)
}

function primitiveOf(code: number | undefined): PrimitiveKind | undefined {
  return code === undefined ? undefined : PRIMITIVES[code - PRIMITIVE_FIRST]
}

export function unsupported(what: string): QuiverError {
  const message = `the component uses what cannot run here: ${what}`
  return new QuiverError('unimplemented', 'COMPONENT_UNSUPPORTED', message, {
    hint: 'Build it for WASI 0.2, as a component of world wasi:http/proxy or wasi:cli/command.',
  })
}
