/** A guest that cannot grow any more is told so by the engine alone, and most then trap: that has a name. */

import { trapReason } from '../trap.ts'

import { breach } from './failure.ts'

/** Of the limit: what it wants next may be too much. */
const NEAR = 0.75

/**
 * @param memories  of the guest, which has ended
 * @param initialBytes  that it began with
 * @param bytesMax  that it might have had, with all others of its task
 * @returns `thrown`, or a limit that explains it
 */
export function explainFull(
  thrown: unknown,
  memories: readonly WebAssembly.Memory[],
  initialBytes: number,
  bytesMax = Infinity,
): unknown {
  if (!(thrown instanceof WebAssembly.RuntimeError) || trapReason(thrown) !== undefined) {
    return thrown
  }
  const bytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
  if (bytes <= initialBytes || !(bytes > bytesMax * NEAR || memories.some(isFull))) return thrown
  const mib = (bytes / 1024 ** 2).toFixed(1)
  const what = `the guest trapped with ${mib} MiB of memory, and may have little more: ${thrown.message}`
  return breach('OUT_OF_MEMORY', what)
}

/** One that can grow does. */
function isFull(memory: WebAssembly.Memory): boolean {
  try {
    memory.grow(1)
    return false
  } catch {
    return true
  }
}
