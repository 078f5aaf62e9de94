/** `quiver attach`: what it does. */

import type { CliContext } from '../../context.ts'
import { isOnTerminal, runInForeground } from '../../foreground.ts'
import { say } from '../../print.ts'

/** Ctrl-P Ctrl-Q, as elsewhere. */
const DETACH_KEYS = '\u0010\u0011'
const SIGNAL_TIMEOUT_MS = 5000

export async function attach(
  this: CliContext,
  flags: { readonly observe: boolean },
  target: string,
): Promise<void> {
  using client = await this.openClient()
  const request = { kind: 'attach', isPrimary: !flags.observe } as const
  using session = await client.openSession(target, request, this.signal)
  const id = await session.opened
  const status = await runInForeground(this, session, {
    isTerminal: isOnTerminal(this) && !flags.observe,
    hasStdin: !flags.observe,
    detachKeys: DETACH_KEYS,
    signal: async (signal) => {
      // Whoever only watches leaves by Ctrl-C; the program goes on.
      if (flags.observe) session[Symbol.dispose]()
      const input = { params: { id }, body: { signal } }
      const deadline = AbortSignal.timeout(SIGNAL_TIMEOUT_MS)
      if (!flags.observe) await client.call('signalInstance', input, deadline)
    },
  })
  if (status === 'detached') say(this, `left ${id} running`)
  else this.process.exitCode = status
}
