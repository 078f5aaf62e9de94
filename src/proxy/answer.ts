/** Pieces of what a client gets, beside what the instance said. Pure. */

import type { StartKind } from '../core/instance.ts'

/** `Server-Timing`: how the instance came to be there, and how many milliseconds the request waited for it. */
export function describeTiming(kind: StartKind, waitMs: number): string {
  if (kind === 'warm' && waitMs < 0.05) return 'quiver;desc=warm;dur=0'
  return `quiver;desc=${kind};dur=${waitMs.toFixed(1)}`
}

/** A whole head, with the empty line; latin1. */
export function formatHead(firstLine: string, rawHeaders: readonly string[]): string {
  let head = `${firstLine}\r\n`
  for (let index = 0; index < rawHeaders.length; index += 2) {
    head += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`
  }
  return `${head}\r\n`
}

/** Name, value, name, value … as pairs. */
export function pairUp(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    pairs.push([rawHeaders[index] ?? '', rawHeaders[index + 1] ?? ''])
  }
  return pairs
}
