/**
 * Keeps the memory of the node's long-lived processes near what they hold. V8 gives nothing back by itself while a
 * process is idle, so the garbage of a start or of a burst of work would stay for as long as the process.
 */

import { flushCompileCache } from 'node:module'
import { getHeapStatistics } from 'node:v8'

import { trimMemory } from '../fds/fds.ts'

/**
 * Options of Node.js for a process of the node. Small young generations: these processes make little garbage, and three
 * times 16 MiB would be more than they hold.
 */
export const HEAP_OPTIONS: readonly string[] = ['--expose-gc', '--max-semi-space-size=2']

const CHECK_INTERVAL_MS = 5000
/** Growth since the last collection that is worth a pause of some ten milliseconds. */
const GROWTH_BYTES_MIN = 8 * 1024 * 1024

/**
 * Call it once everything is imported, and before privileges are given up: compiled code is stored, so that the next
 * start neither strips types nor compiles (a checkout would else hold a TypeScript parser in every process).
 */
export function storeCompiledCode(): void {
  flushCompileCache()
}

/** What V8 frees after a collection it frees on another thread. */
const TRIM_DELAY_MS = 1000

/**
 * Collects all garbage now, and gives its pages back: V8's at once, those of the C allocator, which a start leaves in
 * pieces, after a second. Takes milliseconds: before the process serves.
 */
export function compactHeap(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  setTimeout(trimMemory, TRIM_DELAY_MS).unref()
}

/**
 * Compacts soon after the start, and then whenever work has made the heap grow, until disposed. For a process that no
 * warm request waits for.
 */
export function keepHeapCompact(): Disposable {
  let compactBytes = 0
  const timer = setInterval(() => {
    if (getHeapStatistics().total_heap_size < compactBytes + GROWTH_BYTES_MIN) return
    compactHeap()
    compactBytes = getHeapStatistics().total_heap_size
  }, CHECK_INTERVAL_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
