/**
 * Leaves out exports of a module that nobody calls. Each export costs every instance an object of its own: a module that exports
 * its whole library is instantiated in a third of the time without them.
 */

import { scanCoreModule } from './read.ts'

const SECTION_EXPORT = 7
const HEADER_BYTES = 8

/** @param bytes  of a module that was read before: its structure is as it should be */
export function keepExports(
  bytes: Uint8Array<ArrayBuffer>,
  names: ReadonlySet<string>,
): Uint8Array<ArrayBuffer> {
  scanCoreModule(bytes)
  for (let at = HEADER_BYTES; at < bytes.length;) {
    const size = readLeb(bytes, at + 1)
    const end = size.next + size.value
    if (bytes[at] === SECTION_EXPORT) {
      const body = filter(bytes.subarray(size.next, end), names)
      const head = [SECTION_EXPORT, ...encodeLeb(body.length)]
      const parts = [bytes.subarray(0, at), Uint8Array.from(head), body, bytes.subarray(end)]
      return Uint8Array.from(Buffer.concat(parts))
    }
    at = end
  }
  return bytes
}

function filter(body: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const kept: Uint8Array[] = []
  const count = readLeb(body, 0)
  let at = count.next
  for (let index = 0; index < count.value; index++) {
    const length = readLeb(body, at)
    const nameEnd = length.next + length.value
    // Behind the name stand a byte for the kind, and the index.
    const { next } = readLeb(body, nameEnd + 1)
    const name = Buffer.from(body.subarray(length.next, nameEnd)).toString()
    if (names.has(name)) kept.push(body.subarray(at, next))
    at = next
  }
  return Buffer.concat([Uint8Array.from(encodeLeb(kept.length)), ...kept])
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
