/**
 * A sequence of values as lines of JSON, no faster than the caller reads. A failure before the first line is the
 * answer; one after it is a last line, `{"error": {…}}`.
 */

import { QuiverError } from '../core/error.ts'

import { buildErrorBody } from './answer.ts'

/** A quiet stream is begun after this time, so that its caller knows it is there. */
const FIRST_LINE_WAIT_MS = 50

/** @throws what the first step of `values` throws, when it does so soon */
export async function buildLines(
  values: AsyncIterable<unknown>,
  caller: AbortController,
): Promise<ReadableStream<Uint8Array>> {
  const iterator = values[Symbol.asyncIterator]()
  let next: Promise<IteratorResult<unknown>> | undefined = iterator.next()
  // Both may reject later, when nobody waits for this promise any more: it is awaited again by the first pull.
  await Promise.race([next, waited()])
  const encoder = new TextEncoder()
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const result = await (next ?? iterator.next())
          next = undefined
          if (result.done === true) return controller.close()
          controller.enqueue(encoder.encode(`${JSON.stringify(result.value)}\n`))
        } catch (thrown) {
          const error = buildErrorBody(QuiverError.from(thrown))
          controller.enqueue(encoder.encode(`${JSON.stringify({ error })}\n`))
          controller.close()
        }
      },
      async cancel() {
        caller.abort(new QuiverError('canceled', 'CALLER_GONE', 'the caller has gone'))
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

function waited(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, FIRST_LINE_WAIT_MS).unref()
  return promise
}
