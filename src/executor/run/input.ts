/** The body of a request as a whole, for guests that get it so. */

import type { Exchange } from '../http/exchange.ts'

import { inputTooLarge } from './failure.ts'

const EMPTY = new Uint8Array(0)

/**
 * At once when it is there already.
 *
 * @throws LimitBreach `INPUT_TOO_LARGE`
 */
export function readInput(
  { head, body }: Exchange,
  bytesMax: number,
): Uint8Array | Promise<Uint8Array> {
  const { contentLength, isChunked } = head
  if (contentLength !== null && contentLength > bytesMax) throw inputTooLarge(bytesMax)
  if (contentLength === null && !isChunked) return EMPTY
  const input = body.readAll(bytesMax)
  if (!(input instanceof Promise)) return input
  return input.catch((thrown: unknown) => {
    throw thrown instanceof RangeError ? inputTooLarge(bytesMax) : thrown
  })
}
