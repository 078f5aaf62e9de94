/** Quantities for people. What programs read (`--json`) has plain numbers. */

import type { TrafficShare } from '../core/task.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `512 B`, `4.2 KiB`, `118 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let index = 0
  while (value >= 1000 && index < UNITS.length - 1) {
    value /= 1024
    index++
  }
  // What would round to 10.0 is a 10.
  const digits = index === 0 || value >= 9.95 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[index] ?? 'B'}`
}

/** `-` where nothing is counted: without control groups, or in a process that many share. */
export function formatMeasuredBytes(bytes: number): string {
  return bytes === 0 ? '-' : formatBytes(bytes)
}

/** `0.4 ms`, `41 ms`, `1.25 s`. */
export function formatMilliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${ms.toFixed(0)} ms`
  return `${(ms / 1000).toFixed(2)} s`
}

/** How long ago: `3s`, `12m`, `5h`, `9d`. */
export function formatAge(atMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - atMs) / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

/** `2026-05-01T12:00:00.000Z` */
export function formatTime(atMs: number): string {
  return new Date(atMs).toISOString()
}

/** The first 12 hexadecimal digits, which `image inspect` and its like accept. */
export function formatDigest(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12)
}

/** `revision 2 (90%), revision 1 (10%)` */
export function formatTraffic(traffic: readonly TrafficShare[]): string {
  return traffic.map(({ revision, percent }) => `revision ${revision} (${percent}%)`).join(', ')
}

export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
