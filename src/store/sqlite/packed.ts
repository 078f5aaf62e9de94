/**
 * A snapshot as it crosses threads: all values in one buffer, which is moved. One buffer for each of many thousand
 * entries would be copied, and leave the allocator of both threads full of holes.
 */

import type { Snapshot } from '../watch.ts'

export interface PackedSnapshot {
  readonly revision: number
  readonly keys: readonly string[]
  readonly revisions: readonly number[]
  /** Where the value of each key ends in `bytes`; it begins where the one before it ends. */
  readonly ends: readonly number[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

export function packSnapshot({ entries, revision }: Snapshot): PackedSnapshot {
  const bytes = new Uint8Array(entries.reduce((sum, { value }) => sum + value.length, 0))
  const ends: number[] = []
  let end = 0
  for (const { value } of entries) {
    bytes.set(value, end)
    end += value.length
    ends.push(end)
  }
  const keys = entries.map(({ key }) => key)
  return { revision, keys, revisions: entries.map((entry) => entry.revision), ends, bytes }
}

/** The values are views of one buffer, which lives as long as any of them. */
export function unpackSnapshot(packed: PackedSnapshot): Snapshot {
  const { keys, revisions, ends, bytes, revision } = packed
  const entries = keys.map((key, index) => ({
    key,
    revision: revisions[index] ?? 0,
    value: bytes.subarray(ends[index - 1] ?? 0, ends[index]),
  }))
  return { entries, revision }
}
