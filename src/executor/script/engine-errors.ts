/** What an engine can be ended for. */

import { QuiverError } from '../../core/error.ts'

export function notAnEngine(): QuiverError {
  const message = 'the binary of this script is not the JavaScript engine that this version knows'
  return new QuiverError('failed_precondition', 'ENGINE_UNKNOWN', message, {
    hint: 'Deploy the script again, so that it gets the engine of this version.',
  })
}

export function badAddress(): QuiverError {
  const message = 'the JavaScript engine passed an address that is not in its memory'
  return new QuiverError('unavailable', 'BAD_ADDRESS', message)
}

export function outOfMemory(): QuiverError {
  return new QuiverError('resource_exhausted', 'OUT_OF_MEMORY', 'the script needs more memory', {
    hint: 'Raise limits.memory in quiver.toml if that is what it should do.',
  })
}
