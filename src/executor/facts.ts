/**
 * What is known of a WebAssembly binary without running it: the words that the parts of the executor and the control side
 * share. Nothing here parses (see module/), and nothing here knows V8.
 */

/** `i32`, `i64`, `f32`, `f64`, `v128`, or a reference type as the text format writes it, such as `externref` or `(ref null 3)`. */
export type ValueType = string

export interface FunctionType {
  readonly params: readonly ValueType[]
  readonly results: readonly ValueType[]
}

/** How far something may grow, in pages of 64 KiB or in elements. */
export interface Limits {
  readonly initial: number
  /** null: as far as the machine lets it. */
  readonly maximum: number | null
  /** Addressed by i64 (memory64, table64). */
  readonly is64: boolean
  readonly isShared: boolean
}

export interface MemoryFact extends Limits {
  readonly isImported: boolean
}

export interface TableFact extends Limits {
  readonly isImported: boolean
  readonly element: ValueType
}

export type ExternKind = 'function' | 'table' | 'memory' | 'global' | 'tag'

export interface ImportFact {
  readonly module: string
  readonly name: string
  readonly kind: ExternKind
  /** Of functions and tags; null for all else. */
  readonly signature: FunctionType | null
}

export interface ExportFact {
  readonly name: string
  readonly kind: ExternKind
  readonly signature: FunctionType | null
}

/** The `producers` custom section, for people to read: anybody can write anything there. */
export interface Producers {
  readonly language: readonly string[]
  readonly processedBy: readonly string[]
  readonly sdk: readonly string[]
}

export interface CoreFacts {
  readonly format: 'core'
  /** Types that are functions; a struct or array type is null, to keep the indices. */
  readonly types: readonly (FunctionType | null)[]
  readonly imports: readonly ImportFact[]
  readonly exports: readonly ExportFact[]
  /** Imported ones first, as indices count them. */
  readonly memories: readonly MemoryFact[]
  readonly tables: readonly TableFact[]
  /** Defined here, without the imported ones. */
  readonly functions: number
  readonly globals: number
  /** Index of the function that instantiation runs. */
  readonly start: number | null
  readonly name: string | null
  readonly producers: Producers
  readonly customSections: readonly string[]
  readonly sizes: SizeFacts
}

export interface SizeFacts {
  readonly totalBytes: number
  readonly codeBytes: number
  readonly dataBytes: number
  readonly customBytes: number
}

/** A name at the border of a component: `wasi:cli/run@0.2.0`, or a plain `run`. */
export interface ComponentExtern {
  readonly name: string
  readonly kind: 'module' | 'function' | 'value' | 'type' | 'component' | 'instance'
}

export interface ComponentFacts {
  readonly format: 'component'
  readonly imports: readonly ComponentExtern[]
  readonly exports: readonly ComponentExtern[]
  readonly name: string | null
  readonly producers: Producers
  readonly customSections: readonly string[]
  /** Core modules and components inside it, at its top level. */
  readonly nested: number
  readonly sizes: SizeFacts
}

export type ModuleFacts = CoreFacts | ComponentFacts

/** An import that another task answers. Whether there is such a task, the deployment asks. */
export interface Link {
  readonly task: string
  /** The export to call. */
  readonly function: string
  readonly signature: FunctionType
}

/** `(i32, i32) -> i64`, for messages. */
export function describeSignature(type: FunctionType): string {
  const results = type.results.length === 1 ? type.results.join('') : `(${type.results.join(', ')})`
  return `(${type.params.join(', ')}) -> ${results}`
}
