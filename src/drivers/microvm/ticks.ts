/**
 * How fast the processor's time stamp counter is. An emulated guest has the same counter, and cannot measure it: where the host is
 * busy it finds no rate at all, and then no clock.
 */

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { readTicks } from '../../fds/fds.ts'

const OVER_MS = 200

/** Null where there is no counter, or one that runs at another rate at times. */
export async function measureTicksPerMs(): Promise<number | null> {
  const processor = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  const first = readTicks()
  if (first === undefined || !/\bconstant_tsc\b/.test(processor)) return null
  await delay(OVER_MS)
  const second = readTicks()
  if (second === undefined || second[1] <= first[1]) return null
  return Math.round((Number(second[0] - first[0]) / Number(second[1] - first[1])) * 1e6)
}
