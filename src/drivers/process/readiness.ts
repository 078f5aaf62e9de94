/** Whether a program is ready that is nobody's instance: one that runs only to be saved. */

import { QuiverError } from '../../core/error.ts'

import { watchEvents } from './channel.ts'
import { Progress } from './progress.ts'

/**
 * Resolves when the program listens on all of `ports`.
 *
 * @param socket  the control socket of its PID 1
 * @throws QuiverError `unavailable/INSTANCE_GONE` when it ends instead; whatever `signal` aborts with
 */
export async function untilReady(
  socket: string,
  ports: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const ready = Promise.withResolvers<void>()
  const fail = (): void => ready.reject(gone())
  const abort = (): void => ready.reject(signal.reason)
  const progress = new Progress(ports, 'boot')
  signal.throwIfAborted()
  signal.addEventListener('abort', abort, { once: true })
  // While a machine boots nobody answers: the connection waits, and the deadline is all there is.
  const connecting = watchEvents(
    socket,
    (event) => {
      progress.add(event)
      if (event.name === 'exit' || event.name === 'error') fail()
      else if (progress.isReady) ready.resolve()
    },
    fail,
  )
  connecting.catch(ready.reject)
  try {
    await ready.promise
  } finally {
    signal.removeEventListener('abort', abort)
    void connecting.then(
      (channel) => channel[Symbol.dispose](),
      () => {},
    )
  }
}

function gone(): QuiverError {
  return new QuiverError('unavailable', 'INSTANCE_GONE', 'the program ended before it was ready')
}
