/**
 * From the bytes of a component to its syntax. Only what the binary format itself says is checked here: indices are
 * resolved in link.ts, and core modules are read there as well.
 *
 * Encoding: github.com/WebAssembly/component-model, design/mvp/Binary.md.
 */

import { ByteReader } from '../module/byte-reader.ts'

import { readAlias, readCoreSort, readExtern, readExternName, readSort } from './decode-types.ts'
import { readType, unsupported } from './decode-types.ts'
import type {
  CanonOptions,
  CanonSyntax,
  ComponentSyntax,
  Definition,
  NamedIndex,
} from './syntax.ts'

const ENTRIES_MAX = 100_000
const SECTIONS_MAX = 100_000
const DEPTH_MAX = 16
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00]

/**
 * @throws QuiverError `invalid_argument/MODULE_INVALID`, `invalid_argument/MODULE_TOO_LARGE`, or
 *   `unimplemented/COMPONENT_UNSUPPORTED`
 */
export function decodeComponent(bytes: Uint8Array): ComponentSyntax {
  return readComponent(new ByteReader(bytes), 0)
}

function readComponent(reader: ByteReader, depth: number): ComponentSyntax {
  if (depth > DEPTH_MAX) reader.refuse('has components that are nested too deep')
  for (const byte of HEADER) {
    if (reader.u8('the header') !== byte) reader.fail('this is no component of WASI 0.2')
  }
  const componentEnd = reader.end
  const definitions: Definition[] = []
  for (let sections = 0; !reader.isAtEnd; sections++) {
    if (sections === SECTIONS_MAX) reader.refuse(`has more than ${SECTIONS_MAX} sections`)
    reader.part = 'section of a component'
    const id = reader.u8('a section')
    const size = reader.u32('the size of a section')
    const start = reader.offset
    reader.skip(size, `section ${id}`)
    const end = reader.offset
    if (id === SECTION.CUSTOM || id === SECTION.CORE_TYPE) continue
    reader.offset = start
    reader.end = end
    readSection(reader, id, depth, definitions)
    if (!reader.isAtEnd) reader.fail(`${reader.end - reader.offset} bytes are left over`)
    reader.end = componentEnd
  }
  return { definitions }
}

const SECTION = {
  CUSTOM: 0,
  CORE_MODULE: 1,
  CORE_INSTANCE: 2,
  CORE_TYPE: 3,
  COMPONENT: 4,
  INSTANCE: 5,
  ALIAS: 6,
  TYPE: 7,
  CANON: 8,
  IMPORT: 10,
  EXPORT: 11,
} as const

function readSection(
  reader: ByteReader,
  id: number,
  depth: number,
  definitions: Definition[],
): void {
  switch (id) {
    case SECTION.CORE_MODULE:
      definitions.push({ kind: 'core module', start: reader.offset, end: reader.end })
      reader.offset = reader.end
      return
    case SECTION.COMPONENT:
      definitions.push({ kind: 'component', component: readComponent(reader, depth + 1) })
      return
    case SECTION.CORE_INSTANCE:
      return readEach(reader, 'core instances', definitions, readCoreInstance)
    case SECTION.INSTANCE:
      return readEach(reader, 'instances', definitions, readInstance)
    case SECTION.ALIAS:
      return readEach(reader, 'aliases', definitions, readAlias)
    case SECTION.TYPE:
      return readEach(reader, 'types', definitions, () => ({
        kind: 'type',
        type: readType(reader),
      }))
    case SECTION.CANON:
      return readEach(reader, 'canonical functions', definitions, () => ({
        kind: 'canon',
        canon: readCanon(reader),
      }))
    case SECTION.IMPORT:
      return readEach(reader, 'imports', definitions, () => {
        const name = readExternName(reader)
        return { kind: 'import', name, extern: readExtern(reader) }
      })
    case SECTION.EXPORT:
      return readEach(reader, 'exports', definitions, readExport)
    default:
      throw unsupported(`section ${id}`)
  }
}

function readEach(
  reader: ByteReader,
  what: string,
  definitions: Definition[],
  read: (reader: ByteReader) => Definition,
): void {
  const count = reader.count(what, ENTRIES_MAX - definitions.length)
  for (let index = 0; index < count; index++) definitions.push(read(reader))
}

function readCoreInstance(reader: ByteReader): Definition {
  const form = reader.u8('a core instance')
  if (form === 1) {
    const exports = readNamed(reader, () => {
      const name = reader.name('an export')
      return { name, sort: readCoreSort(reader), index: reader.u32('an index') }
    })
    return { kind: 'core exports', exports }
  }
  if (form !== 0) reader.fail(`${form} is no form of a core instance`)
  const module = reader.u32('a module')
  const args = readNamed(reader, () => {
    const name = reader.name('an argument')
    if (readCoreSort(reader) !== 'core instance') reader.fail('an argument is no instance')
    return { name, instance: reader.u32('an instance') }
  })
  return { kind: 'core instance', module, args }
}

function readInstance(reader: ByteReader): Definition {
  const form = reader.u8('an instance')
  if (form === 1) {
    const exports = readNamed(reader, () => readNamedIndex(reader, readExternName(reader)))
    return { kind: 'exports', exports }
  }
  if (form !== 0) reader.fail(`${form} is no form of an instance`)
  const component = reader.u32('a component')
  const args = readNamed(reader, () => readNamedIndex(reader, reader.name('an argument')))
  return { kind: 'instance', component, args }
}

function readExport(reader: ByteReader): Definition {
  const name = readExternName(reader)
  const of = { sort: readSort(reader), index: reader.u32('an index') }
  if (reader.u8('an ascribed type') === 1) readExtern(reader)
  return { kind: 'export', name, of }
}

function readNamedIndex(reader: ByteReader, name: string): NamedIndex {
  return { name, sort: readSort(reader), index: reader.u32('an index') }
}

function readNamed<T>(reader: ByteReader, read: () => T): readonly T[] {
  const count = reader.count('entries', ENTRIES_MAX, 2)
  const all: T[] = []
  for (let index = 0; index < count; index++) all.push(read())
  return all
}

function readCanon(reader: ByteReader): CanonSyntax {
  const at = reader.offset
  const code = reader.u8('a canonical function')
  switch (code) {
    case 0: {
      if (reader.u8('the sort of a function') !== 0) reader.fail('what is lifted is no function')
      const func = reader.u32('a core function')
      const options = readOptions(reader)
      return { op: 'lift', func, options, type: reader.u32('a type') }
    }
    case 1: {
      if (reader.u8('the sort of a function') !== 0) reader.fail('what is lowered is no function')
      const func = reader.u32('a function')
      return { op: 'lower', func, options: readOptions(reader) }
    }
    case 2:
      return { op: 'resource.new', type: reader.u32('a resource') }
    case 3:
      return { op: 'resource.drop', type: reader.u32('a resource') }
    case 4:
      return { op: 'resource.rep', type: reader.u32('a resource') }
    default:
      reader.offset = at
      throw unsupported(`canonical function ${code}`)
  }
}

const ENCODINGS = ['utf8', 'utf16', 'latin1+utf16'] as const

function readOptions(reader: ByteReader): CanonOptions {
  let encoding: CanonOptions['encoding'] = 'utf8'
  let memory: number | null = null
  let realloc: number | null = null
  let postReturn: number | null = null
  const count = reader.count('options', 16)
  for (let index = 0; index < count; index++) {
    const code = reader.u8('an option')
    if (code === 3) memory = reader.u32('a memory')
    else if (code === 4) realloc = reader.u32('a function')
    else if (code === 5) postReturn = reader.u32('a function')
    else encoding = ENCODINGS[code] ?? refuseOption(code)
  }
  return { encoding, memory, realloc, postReturn }
}

function refuseOption(code: number): never {
  throw unsupported(`option ${code} of a canonical function`)
}
