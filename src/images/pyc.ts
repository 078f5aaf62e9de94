/**
 * Python's compiled modules, made independent of file times.
 *
 * A `.pyc` normally names the modification time of its source, which files in the store do not keep: Python would
 * compile the whole standard library again at each start. PEP 552 has "unchecked" ones, which are used as they are;
 * files in the store never change, so nothing is lost.
 */

import type { BigIntStats } from 'node:fs'

/** Magic number, flags, then time and size of the source, or its hash. */
const HEADER_BYTES = 16
const IS_HASH_BASED = 1

/**
 * @param source  what the file system says about the `.py` file
 * @returns undefined when the file does not belong to this source: it is stale, and Python would not use it
 */
export function withoutFileTimes(pyc: Buffer, source: BigIntStats): Buffer | undefined {
  if (pyc.length < HEADER_BYTES) return undefined
  const flags = pyc.readUInt32LE(4)
  if (flags === IS_HASH_BASED) return pyc
  const timeS = BigInt.asUintN(32, source.mtimeNs / 1_000_000_000n)
  const size = BigInt.asUintN(32, source.size)
  const isFresh = BigInt(pyc.readUInt32LE(8)) === timeS && BigInt(pyc.readUInt32LE(12)) === size
  if (flags !== 0 || !isFresh) return undefined
  const copy = Buffer.from(pyc)
  copy.writeUInt32LE(IS_HASH_BASED, 4)
  copy.fill(0, 8, HEADER_BYTES)
  return copy
}

/** `a/__pycache__/b.cpython-311.pyc` → `a/b.py`; undefined for anything else. */
export function sourceOfPyc(path: string): string | undefined {
  const [, folder, name] = /^(.*\/)__pycache__\/([^/.]+)\.[^/]*\.pyc$/.exec(path) ?? []
  return name === undefined ? undefined : `${folder}${name}.py`
}
