/** Names for runs that were given none. */

import { randomInt } from 'node:crypto'

import type { TaskRegistry } from '../../scheduler/registry.ts'

const DIGITS = 4
const NAME_LENGTH_MAX = 63

/** The name of the image and a number, which nobody has. */
export function freeName(image: string, registry: Pick<TaskRegistry, 'get'>): string {
  const prefix = image.slice(0, NAME_LENGTH_MAX - 1 - DIGITS)
  for (;;) {
    const number = String(randomInt(10 ** DIGITS)).padStart(DIGITS, '0')
    const name = `${prefix}-${number}`
    if (registry.get(name) === undefined) return name
  }
}
