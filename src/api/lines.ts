/**
 * A sequence of values as lines of JSON. A failure before the first line is the answer; one after it is a last line,
 * `{"error": {…}}`.
 */

import { QuiverError } from '../core/error.ts'

import { buildErrorBody } from './answer.ts'

/** A quiet stream is begun after this time, so that its caller knows it is there. */
const FIRST_LINE_WAIT_MS = 50

/**
 * @returns lines, each made when it is asked for; they never throw
 * @throws what the first step of `values` throws, when it does so soon
 */
export async function buildLines(values: AsyncIterable<unknown>): Promise<AsyncIterable<string>> {
  const iterator = values[Symbol.asyncIterator]()
  const first = iterator.next()
  // Both may reject later, when nobody waits for this promise any more: it is awaited again for the first line.
  await Promise.race([first, waited()])
  return format(iterator, first)
}

async function* format(
  iterator: AsyncIterator<unknown>,
  first: Promise<IteratorResult<unknown>>,
): AsyncGenerator<string> {
  try {
    for (let result = await first; result.done !== true; result = await iterator.next()) {
      yield `${JSON.stringify(result.value)}\n`
    }
  } catch (thrown) {
    yield `${JSON.stringify({ error: buildErrorBody(QuiverError.from(thrown)) })}\n`
  } finally {
    await iterator.return?.()
  }
}

function waited(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, FIRST_LINE_WAIT_MS).unref()
  return promise
}
