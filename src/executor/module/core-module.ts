/**
 * The sections of a core module: what they declare, and where the limits of its memories and tables stand in the bytes.
 *
 * Code and data are passed over, so this takes milliseconds and never replaces the engine's validation.
 */

import type {
  CoreFacts,
  ExportFact,
  ExternKind,
  FunctionType,
  ImportFact,
  Limits,
  MemoryFact,
  TableFact,
} from '../facts.ts'

import type { ByteReader } from './byte-reader.ts'
import { CustomSections } from './custom.ts'
import { readLimits, readTypes, readValueType, skipConstant } from './value-types.ts'

const IMPORTS_MAX = 100_000
const EXPORTS_MAX = 100_000
const FUNCTIONS_MAX = 1_000_000
const MEMORIES_MAX = 100
const TABLES_MAX = 10_000
const ENTRIES_MAX = 10_000_000
/** Bits of a memory's address, less those of a page. */
const PAGES_MAX = 2 ** 16
const PAGES_64_MAX = 2 ** 48

const KINDS: readonly ExternKind[] = ['function', 'table', 'memory', 'global', 'tag']

/** The sections in the only order that they may come in. */
const SECTIONS: readonly { readonly id: number; readonly name: string }[] = [
  { id: 1, name: 'type' },
  { id: 2, name: 'import' },
  { id: 3, name: 'function' },
  { id: 4, name: 'table' },
  { id: 5, name: 'memory' },
  { id: 13, name: 'tag' },
  { id: 6, name: 'global' },
  { id: 7, name: 'export' },
  { id: 8, name: 'start' },
  { id: 9, name: 'element' },
  { id: 12, name: 'data count' },
  { id: 10, name: 'code' },
  { id: 11, name: 'data' },
]

/** Where a size that can be limited stands in the bytes. */
export interface LimitsSite {
  readonly kind: 'memory' | 'table'
  readonly limits: Limits
  /** The encoded limits, flags first. */
  readonly at: number
  readonly end: number
}

/** A section that holds limits. */
export interface SectionSite {
  /** Its size field; the body follows. */
  readonly sizeAt: number
  readonly bodyAt: number
  readonly end: number
  readonly sites: readonly LimitsSite[]
}

export interface CoreScan {
  readonly facts: CoreFacts
  readonly sections: readonly SectionSite[]
}

/** Reads a core module from behind its header. */
export function scanCore(reader: ByteReader): CoreScan {
  return new CoreScanner(reader).scan()
}

class CoreScanner {
  readonly #reader: ByteReader
  readonly #custom = new CustomSections()
  readonly #imports: ImportFact[] = []
  readonly #exports: ExportFact[] = []
  readonly #memories: MemoryFact[] = []
  readonly #tables: TableFact[] = []
  /** Signatures of functions, imported ones first. */
  readonly #functions: FunctionType[] = []
  readonly #tags: FunctionType[] = []
  readonly #sections: SectionSite[] = []
  #sites: LimitsSite[] = []
  #types: readonly (FunctionType | null)[] = []
  #functionsImported = 0
  #globals = 0
  #globalsImported = 0
  #bodies = 0
  #start: number | null = null
  #codeBytes = 0
  #dataBytes = 0

  constructor(reader: ByteReader) {
    this.#reader = reader
  }

  scan(): CoreScan {
    const reader = this.#reader
    const fileEnd = reader.end
    let place = -1
    while (!reader.isAtEnd) {
      reader.part = 'section header'
      const at = reader.offset
      const id = reader.u8('a section')
      const sizeAt = reader.offset
      const size = reader.u32('the size of a section')
      const bodyAt = reader.offset
      reader.skip(size, `section ${id}`)
      const end = reader.offset
      reader.offset = bodyAt
      reader.end = end
      if (id === 0) {
        reader.part = 'custom section'
        this.#custom.read(reader, end - at)
      } else {
        place = this.#enter(id, place, at)
        this.#readSection(id, size)
        if (!reader.isAtEnd) reader.fail(`${end - reader.offset} bytes are left over`)
        if (this.#sites.length > 0) {
          this.#sections.push({ sizeAt, bodyAt, end, sites: this.#sites })
          this.#sites = []
        }
      }
      reader.end = fileEnd
    }
    this.#checkBodies()
    return { facts: this.#facts(), sections: this.#sections }
  }

  /** Checks that a section may come here. Returns its place in the order. */
  #enter(id: number, previous: number, at: number): number {
    const reader = this.#reader
    const place = SECTIONS.findIndex((section) => section.id === id)
    const name = SECTIONS[place]?.name
    if (name === undefined) return reader.fail(`there is no section ${id}`, at)
    reader.part = `${name} section`
    if (place === previous) reader.fail('the section comes twice', at)
    if (place < previous) {
      reader.fail(`the section stands behind the ${SECTIONS[previous]?.name} section`, at)
    }
    return place
  }

  #readSection(id: number, size: number): void {
    const reader = this.#reader
    if (id === 1) this.#types = readTypes(reader)
    if (id === 2) this.#each('imports', IMPORTS_MAX, 4, () => this.#readImport())
    if (id === 3) this.#readFunctions()
    if (id === 4) this.#each('tables', TABLES_MAX, 3, () => this.#readTable(false))
    if (id === 5) this.#each('memories', MEMORIES_MAX, 2, () => this.#readMemory(false))
    if (id === 13) this.#each('tags', IMPORTS_MAX, 2, () => this.#readTag())
    if (id === 7) this.#readExports()
    if (id === 8) this.#start = this.#readStart()
    if (id === 12) reader.u32('the number of data segments')
    if (id === 6) this.#globals = this.#skipEntries('globals')
    if (id === 9) this.#skipEntries('element segments')
    if (id === 10) {
      this.#bodies = this.#skipEntries('function bodies', FUNCTIONS_MAX)
      this.#codeBytes = size
    }
    if (id === 11) {
      this.#skipEntries('data segments')
      this.#dataBytes = size
    }
  }

  #each(what: string, max: number, entryBytesMin: number, read: () => void): void {
    const count = this.#reader.count(what, max, entryBytesMin)
    for (let index = 0; index < count; index++) read()
  }

  #skipEntries(what: string, max = ENTRIES_MAX): number {
    const count = this.#reader.count(what, max)
    this.#reader.offset = this.#reader.end
    return count
  }

  #readImport(): void {
    const reader = this.#reader
    const module = reader.name('the module of an import')
    const name = reader.name('the name of an import')
    const kind = this.#readKind()
    let signature: FunctionType | null = null
    if (kind === 'function') {
      signature = this.#readSignature()
      this.#functions.push(signature)
      this.#functionsImported++
    }
    if (kind === 'table') this.#readTable(true)
    if (kind === 'memory') this.#readMemory(true)
    if (kind === 'global') {
      readValueType(reader)
      if (reader.u8('a mutability') > 1) reader.fail('a mutability is neither 0 nor 1')
      this.#globalsImported++
    }
    if (kind === 'tag') signature = this.#readTag()
    this.#imports.push({ module, name, kind, signature })
  }

  #readKind(): ExternKind {
    const at = this.#reader.offset
    const code = this.#reader.u8('a kind of import or export')
    const kind = KINDS[code]
    return kind ?? this.#reader.fail(`${code} is no kind of import or export`, at)
  }

  #readSignature(): FunctionType {
    const at = this.#reader.offset
    const index = this.#reader.u32('a type index')
    const type = this.#types[index]
    return type ?? this.#reader.fail(`type ${index} is not there, or is not a function`, at)
  }

  #readFunctions(): void {
    const read = (): void => void this.#functions.push(this.#readSignature())
    this.#each('functions', FUNCTIONS_MAX, 1, read)
  }

  #readTable(isImported: boolean): void {
    const reader = this.#reader
    const hasInitial = !isImported && reader.bytes[reader.offset] === 0x40
    if (hasInitial) {
      reader.skip(1, 'a table')
      if (reader.u8('a table') !== 0) reader.fail('a reserved byte is not 0')
    }
    const element = readValueType(reader)
    if (!element.endsWith('ref') && !element.startsWith('(ref')) {
      reader.fail(`a table cannot hold ${element}`)
    }
    const limits = this.#readLimits('table')
    if (hasInitial) skipConstant(reader)
    this.#tables.push({ ...limits, isImported, element })
  }

  #readMemory(isImported: boolean): void {
    const at = this.#reader.offset
    const limits = this.#readLimits('memory')
    const pagesMax = limits.is64 ? PAGES_64_MAX : PAGES_MAX
    if (Math.max(limits.initial, limits.maximum ?? 0) > pagesMax) {
      this.#reader.fail(`a memory has more than ${pagesMax} pages`, at)
    }
    this.#memories.push({ ...limits, isImported })
  }

  #readLimits(kind: 'memory' | 'table'): Limits {
    const at = this.#reader.offset
    const limits = readLimits(this.#reader, kind)
    this.#sites.push({ kind, limits, at, end: this.#reader.offset })
    return limits
  }

  #readTag(): FunctionType {
    if (this.#reader.u8('a tag') !== 0) this.#reader.fail('the attribute of a tag is not 0')
    const signature = this.#readSignature()
    this.#tags.push(signature)
    return signature
  }

  #readExports(): void {
    const reader = this.#reader
    const names = new Set<string>()
    this.#each('exports', EXPORTS_MAX, 3, () => {
      const at = reader.offset
      const name = reader.name('the name of an export')
      if (names.has(name)) reader.fail(`"${name.slice(0, 64)}" is exported twice`, at)
      names.add(name)
      const kind = this.#readKind()
      const index = reader.u32('the index of an export')
      if (index >= this.#countOf(kind)) reader.fail(`there is no ${kind} ${index}`, at)
      this.#exports.push({ name, kind, signature: this.#signatureOf(kind, index) })
    })
  }

  #countOf(kind: ExternKind): number {
    if (kind === 'function') return this.#functions.length
    if (kind === 'table') return this.#tables.length
    if (kind === 'memory') return this.#memories.length
    if (kind === 'tag') return this.#tags.length
    return this.#globalsImported + this.#globals
  }

  #signatureOf(kind: ExternKind, index: number): FunctionType | null {
    if (kind === 'function') return this.#functions[index] ?? null
    if (kind === 'tag') return this.#tags[index] ?? null
    return null
  }

  #readStart(): number {
    const index = this.#reader.u32('the start function')
    const signature = this.#functions[index]
    if (signature === undefined) return this.#reader.fail(`there is no function ${index}`)
    if (signature.params.length + signature.results.length === 0) return index
    return this.#reader.fail('the start function takes or returns something')
  }

  #checkBodies(): void {
    const declared = this.#functions.length - this.#functionsImported
    if (declared === this.#bodies) return
    this.#reader.part = 'code section'
    this.#reader.fail(`${declared} functions are declared, and ${this.#bodies} have a body`)
  }

  #facts(): CoreFacts {
    return {
      format: 'core',
      types: this.#types,
      imports: this.#imports,
      exports: this.#exports,
      memories: this.#memories,
      tables: this.#tables,
      functions: this.#bodies,
      globals: this.#globals,
      start: this.#start,
      name: this.#custom.name,
      producers: this.#custom.producers,
      customSections: this.#custom.names,
      sizes: {
        totalBytes: this.#reader.bytes.length,
        codeBytes: this.#codeBytes,
        dataBytes: this.#dataBytes,
        customBytes: this.#custom.bytes,
      },
    }
  }
}
