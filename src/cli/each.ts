/** One verb on several names, as `docker rm a b` does it: what fails with one of them is told, and the others go on. */

import { CODES, QuiverError } from '../core/error.ts'

import type { CliContext } from './context.ts'
import { renderError, say } from './print.ts'

/**
 * One after the other, in the order given. Afterwards the exit status is that of the first failure.
 *
 * @throws QuiverError what `act` failed with when there is one name only, or when it would fail with every other one too:
 *   Ctrl-C, or a node that does not answer
 */
export async function forEach(
  context: CliContext,
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<void> {
  let first: QuiverError | undefined
  for (const name of names) {
    try {
      await act(name)
    } catch (thrown) {
      const error = QuiverError.from(thrown)
      const isHopeless = context.signal.aborted || error.reason === 'NODE_UNREACHABLE'
      if (names.length === 1 || isHopeless) throw thrown
      say(context, renderError(error))
      first ??= error
    }
  }
  if (first !== undefined) context.process.exitCode = CODES[first.code].exit
}
