/**
 * Turns the memory that a module makes for itself into one that it is given. An instance is then made without mapping and
 * unmapping memory, which costs more than all the rest of it: the embedder keeps memories, and gives them out zeroed.
 */

import { scanCoreModule } from './read.ts'

/** What the module imports instead of making it. */
export const MEMORY_IMPORT = { module: 'quiver:memory', name: 'memory' } as const

/** In pages of 64 KiB. */
export interface MemorySize {
  readonly initial: number
  readonly maximum: number
}

export interface ModuleWithMemory {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Null: the module is as it was, and makes its own memories. */
  readonly memory: MemorySize | null
}

const SECTION = { TYPE: 1, IMPORT: 2, MEMORY: 5 } as const
const KIND_MEMORY = 2
const HEADER_BYTES = 8

interface Section {
  readonly id: number
  readonly at: number
  readonly bodyAt: number
  readonly end: number
}

/**
 * @param bytes  of a module that `limitModule` has given maxima
 * @param pagesMax  larger memories stay the module's own: clearing them takes longer than making new ones
 */
export function importMemory(bytes: Uint8Array<ArrayBuffer>, pagesMax: number): ModuleWithMemory {
  const { facts } = scanCoreModule(bytes)
  const [only, ...others] = facts.memories
  const isPlain = only !== undefined && others.length === 0 && !only.isImported && !only.is64
  if (!isPlain || only.maximum === null || only.initial > pagesMax) return { bytes, memory: null }
  const sections = listSections(bytes)
  const memory = sections.find(({ id }) => id === SECTION.MEMORY)
  if (memory === undefined) return { bytes, memory: null }
  // Behind the count, which is 1, stand the limits.
  const limits = bytes.subarray(memory.bodyAt + 1, memory.end)
  const entry = [...encodeName(MEMORY_IMPORT.module), ...encodeName(MEMORY_IMPORT.name)]
  const imported = buildImports(bytes, sections, [...entry, KIND_MEMORY, ...limits])
  const parts = [
    bytes.subarray(0, imported.from),
    imported.section,
    bytes.subarray(imported.to, memory.at),
    bytes.subarray(memory.end),
  ]
  const result = Uint8Array.from(Buffer.concat(parts))
  return { bytes: result, memory: { initial: only.initial, maximum: only.maximum } }
}

/** The import section with one entry more, and what of the module it takes the place of. */
function buildImports(
  bytes: Uint8Array,
  sections: readonly Section[],
  entry: readonly number[],
): { readonly from: number; readonly to: number; readonly section: Uint8Array } {
  const known = sections.find(({ id }) => id === SECTION.IMPORT)
  if (known === undefined) {
    const at = sections.find(({ id }) => id === SECTION.TYPE)?.end ?? HEADER_BYTES
    return { from: at, to: at, section: buildSection([1, ...entry], new Uint8Array(0)) }
  }
  const { value: count, next } = readLeb(bytes, known.bodyAt)
  // Before the others: the order of kinds does not matter to their indices.
  const section = buildSection([...encodeLeb(count + 1), ...entry], bytes.subarray(next, known.end))
  return { from: known.at, to: known.end, section }
}

function buildSection(head: readonly number[], rest: Uint8Array): Uint8Array {
  const size = encodeLeb(head.length + rest.length)
  return Buffer.concat([Uint8Array.from([SECTION.IMPORT, ...size, ...head]), rest])
}

/** The bytes were scanned before: their structure is as it should be. */
function listSections(bytes: Uint8Array): readonly Section[] {
  const sections: Section[] = []
  for (let at = HEADER_BYTES; at < bytes.length;) {
    const { value: size, next: bodyAt } = readLeb(bytes, at + 1)
    sections.push({ id: bytes[at] ?? 0, at, bodyAt, end: bodyAt + size })
    at = bodyAt + size
  }
  return sections
}

function readLeb(bytes: Uint8Array, at: number): { readonly value: number; readonly next: number } {
  let value = 0
  for (let index = at, factor = 1; ; index++, factor *= 128) {
    const byte = bytes[index] ?? 0
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return { value, next: index + 1 }
  }
}

function encodeLeb(value: number): readonly number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return [...bytes, rest]
}

function encodeName(name: string): readonly number[] {
  const bytes = Buffer.from(name)
  return [...encodeLeb(bytes.length), ...bytes]
}
