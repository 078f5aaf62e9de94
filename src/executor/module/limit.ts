/**
 * Writes a maximum into every memory and table of a core module, so that the engine itself stops their growth.
 *
 * Only the limits and the sizes of the sections around them change; every other byte is copied once as it is.
 */

import { QuiverError } from '../../core/error.ts'
import type { Limits } from '../facts.ts'

import type { LimitsSite } from './core-module.ts'
import { scanCoreModule } from './read.ts'

const PAGE_BYTES = 65_536
const FLAG_MAXIMUM = 1
const FLAG_64 = 4

export interface ModuleLimits {
  /** Of all memories together. */
  readonly memoryBytesMax: number
  /** Of all tables together. */
  readonly tableElementsMax: number
}

interface Edit {
  readonly at: number
  readonly end: number
  readonly bytes: readonly number[]
}

/**
 * Returns the same module with maxima: those that it declares, or lower ones. Where there are several memories (or tables),
 * each may keep its initial size, and the earlier ones get what is left first. The bytes themselves are returned when nothing changes.
 *
 * @throws QuiverError as `scanCoreModule`; `resource_exhausted/MODULE_MEMORY_TOO_LARGE` or `MODULE_TABLE_TOO_LARGE` when the
 *   initial sizes are above the limit already; `unimplemented/MODULE_SHARED_MEMORY`
 */
export function limitModule(bytes: Uint8Array, limits: ModuleLimits): Uint8Array {
  const { sections } = scanCoreModule(bytes)
  const maxima = chooseMaxima(
    sections.flatMap(({ sites }) => sites),
    limits,
  )
  const edits = sections.flatMap(({ sizeAt, bodyAt, end, sites }): readonly Edit[] => {
    const changed = sites
      .filter((site) => site.limits.maximum !== maxima.get(site))
      .map((site) => editOf(site, maxima.get(site) ?? 0))
    if (changed.length === 0) return []
    const growth = changed.reduce((sum, edit) => sum + edit.bytes.length - (edit.end - edit.at), 0)
    return [{ at: sizeAt, end: bodyAt, bytes: encodeLeb(end - bodyAt + growth) }, ...changed]
  })
  return edits.length === 0 ? bytes : applyEdits(bytes, edits)
}

function chooseMaxima(
  sites: readonly LimitsSite[],
  limits: ModuleLimits,
): ReadonlyMap<LimitsSite, number> {
  const memories = sites.filter(({ kind }) => kind === 'memory')
  const tables = sites.filter(({ kind }) => kind === 'table')
  if (sites.some((site) => site.limits.isShared)) {
    throw new QuiverError(
      'unimplemented',
      'MODULE_SHARED_MEMORY',
      'the module has shared memory, which is of use only to threads, and there are none',
      { hint: 'Build it without threads: leave out -pthread, --shared-memory and +atomics.' },
    )
  }
  const pagesMax = Math.floor(limits.memoryBytesMax / PAGE_BYTES)
  const pages = sumOfInitial(memories)
  if (pages > pagesMax) {
    const [needed, allowed] = [pages * PAGE_BYTES, limits.memoryBytesMax].map(inKib)
    throw new QuiverError(
      'resource_exhausted',
      'MODULE_MEMORY_TOO_LARGE',
      `the module starts with ${needed} of memory, and ${allowed} are allowed`,
      { hint: 'Raise limits.memory, or link with a smaller --initial-memory.' },
    )
  }
  const elements = sumOfInitial(tables)
  if (elements > limits.tableElementsMax) {
    throw new QuiverError(
      'resource_exhausted',
      'MODULE_TABLE_TOO_LARGE',
      `the module starts with ${elements} elements in its tables, and ${limits.tableElementsMax} are allowed`,
      { hint: 'Build it with fewer functions whose address is taken.' },
    )
  }
  return new Map([
    ...share(memories, pagesMax - pages),
    ...share(tables, limits.tableElementsMax - elements),
  ])
}

function inKib(bytes: number): string {
  return `${Math.floor(bytes / 1024)} KiB`
}

function sumOfInitial(sites: readonly LimitsSite[]): number {
  return sites.reduce((sum, { limits }) => sum + limits.initial, 0)
}

/** Gives out what is left above the initial sizes. */
function* share(
  sites: readonly LimitsSite[],
  room: number,
): Generator<readonly [site: LimitsSite, maximum: number]> {
  let left = room
  for (const site of sites) {
    const { initial, maximum, is64 } = site.limits
    // What a memory of 32 bits can have at most; a table of 32 bits can have more than any limit of ours.
    const ceiling = site.kind === 'memory' && !is64 ? 65_536 : Number.MAX_SAFE_INTEGER
    const chosen = Math.min(maximum ?? ceiling, initial + left, ceiling)
    left -= chosen - initial
    yield [site, chosen]
  }
}

function editOf(site: LimitsSite, maximum: number): Edit {
  return { at: site.at, end: site.end, bytes: encodeLimits({ ...site.limits, maximum }) }
}

function encodeLimits({ initial, maximum, is64 }: Limits): readonly number[] {
  const flags = FLAG_MAXIMUM | (is64 ? FLAG_64 : 0)
  return [flags, ...encodeLeb(initial), ...encodeLeb(maximum ?? 0)]
}

function encodeLeb(value: number): readonly number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return [...bytes, rest]
}

/** @param edits  in the order of their places, without overlap */
function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const growth = edits.reduce((sum, edit) => sum + edit.bytes.length - (edit.end - edit.at), 0)
  const result = new Uint8Array(bytes.length + growth)
  let from = 0
  let to = 0
  for (const edit of edits) {
    result.set(bytes.subarray(from, edit.at), to)
    to += edit.at - from
    result.set(edit.bytes, to)
    to += edit.bytes.length
    from = edit.end
  }
  result.set(bytes.subarray(from), to)
  return result
}
