/** What a full disk is called; every other error stays as it is. */

import { errnoOf, QuiverError } from '../../core/error.ts'

/**
 * @param what  that there is no space for
 * @returns what to throw: `resource_exhausted/DISK_FULL`, or `thrown` itself
 */
export function diskError(thrown: unknown, what: string): unknown {
  const errno = errnoOf(thrown)
  if (errno !== 'ENOSPC' && errno !== 'EDQUOT') return thrown
  return new QuiverError('resource_exhausted', 'DISK_FULL', `no space is left for ${what}`, {
    cause: thrown,
    hint: 'Free space below the data folder, for example with "quiver image gc".',
  })
}
