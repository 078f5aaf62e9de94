/**
 * The border of a component: the names that it imports and exports, from which its world is known.
 *
 * What is inside (core modules, nested components, types, canonical functions) is passed over: component/ takes it apart later.
 * Encoding: github.com/WebAssembly/component-model, design/mvp/Binary.md.
 */

import type { ComponentExtern, ComponentFacts } from '../facts.ts'

import type { ByteReader } from './byte-reader.ts'
import { CustomSections } from './custom.ts'

const EXTERNS_MAX = 10_000
const SECTIONS_MAX = 100_000
const ID = { CUSTOM: 0, CORE_MODULE: 1, COMPONENT: 4, IMPORT: 10, EXPORT: 11, VALUE: 12 } as const
const KINDS: readonly ComponentExtern['kind'][] = [
  'module',
  'function',
  'value',
  'type',
  'component',
  'instance',
]

/** Reads a component from behind its header. Sections may come in any order and more than once. */
export function scanComponent(reader: ByteReader): ComponentFacts {
  const custom = new CustomSections()
  const imports = new Map<string, ComponentExtern['kind']>()
  const exports = new Map<string, ComponentExtern['kind']>()
  const fileEnd = reader.end
  let nested = 0
  let codeBytes = 0
  for (let sections = 0; !reader.isAtEnd; sections++) {
    if (sections === SECTIONS_MAX) reader.refuse(`has more than ${SECTIONS_MAX} sections`)
    reader.part = 'section header'
    const at = reader.offset
    const id = reader.u8('a section')
    if (id > ID.VALUE) reader.fail(`a component has no section ${id}`, at)
    const size = reader.u32('the size of a section')
    const bodyAt = reader.offset
    reader.skip(size, `section ${id}`)
    reader.end = reader.offset
    if (id === ID.CUSTOM || id === ID.IMPORT || id === ID.EXPORT) reader.offset = bodyAt
    if (id === ID.CORE_MODULE || id === ID.COMPONENT) {
      nested++
      codeBytes += size
    }
    if (id === ID.CUSTOM) {
      reader.part = 'custom section'
      custom.read(reader, reader.end - at)
    }
    if (id === ID.IMPORT) readExterns(reader, 'import', imports)
    if (id === ID.EXPORT) readExterns(reader, 'export', exports)
    if (!reader.isAtEnd) reader.fail(`${reader.end - reader.offset} bytes are left over`)
    reader.end = fileEnd
  }
  return {
    format: 'component',
    imports: Array.from(imports, ([name, kind]) => ({ name, kind })),
    exports: Array.from(exports, ([name, kind]) => ({ name, kind })),
    name: custom.name,
    producers: custom.producers,
    customSections: custom.names,
    nested,
    sizes: {
      totalBytes: reader.bytes.length,
      codeBytes,
      dataBytes: 0,
      customBytes: custom.bytes,
    },
  }
}

function readExterns(
  reader: ByteReader,
  direction: 'import' | 'export',
  into: Map<string, ComponentExtern['kind']>,
): void {
  reader.part = `component ${direction} section`
  const count = reader.count(`${direction}s`, EXTERNS_MAX - into.size, 4)
  for (let index = 0; index < count; index++) {
    const at = reader.offset
    const name = readName(reader, direction)
    if (into.has(name)) reader.fail(`the ${direction} "${name.slice(0, 64)}" comes twice`, at)
    into.set(name, direction === 'import' ? readType(reader) : readExport(reader))
  }
}

/**
 * A name behind its prefix. 0x00 stands before any name. 0x01 once stood before that of an interface, and now before one whose version
 * is cut to what must be compatible, with the rest behind it: `wasi:cli/run@0.2` and `.6`.
 */
function readName(reader: ByteReader, direction: string): string {
  const at = reader.offset
  const prefix = reader.u8('a name')
  if (prefix > 1) reader.fail('a name has a prefix that is not known here', at)
  const name = reader.name(`the name of an ${direction}`)
  const isCut = prefix === 1 && /@\d+(?:\.\d+)?$/.test(name)
  return isCut ? name + reader.name('the rest of a version') : name
}

/** A sort and an index, and then perhaps the type that is ascribed. */
function readExport(reader: ByteReader): ComponentExtern['kind'] {
  const kind = readKind(reader)
  if (kind === 'module' && reader.u8('a core sort') !== 0x11) {
    reader.fail('a component exports something of a core module, and only a whole one can be')
  }
  reader.u32('an index')
  const hasType = reader.u8('an ascribed type')
  if (hasType > 1) reader.fail('an ascribed type is neither there nor not')
  if (hasType === 1) readType(reader)
  return kind
}

function readType(reader: ByteReader): ComponentExtern['kind'] {
  const kind = readKind(reader)
  if (kind === 'module' && reader.u8('a core type') !== 0x11) {
    reader.fail('a component imports something of a core module, and only a whole one can be')
  }
  if (kind !== 'type' && kind !== 'value') {
    reader.u32('a type index')
    return kind
  }
  const bound = reader.u8('a bound')
  if (bound > 1) reader.fail(`${bound} is no bound of a ${kind}`)
  // `(sub resource)` is the bound alone; any other names an index or a primitive type.
  if (kind === 'value' || bound === 0) reader.skipLeb(5, 'a type')
  return kind
}

function readKind(reader: ByteReader): ComponentExtern['kind'] {
  const at = reader.offset
  const code = reader.u8('a sort')
  return KINDS[code] ?? reader.fail(`${code} is no sort of import or export`, at)
}
