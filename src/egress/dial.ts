/**
 * Connects to the first of several addresses that answers (Happy Eyeballs, RFC 8305): one after another, the next one
 * when the last has failed or is slow; who comes first wins. Only addresses are accepted, so nothing is looked up here.
 */

import { connect, type Socket } from 'node:net'

/** RFC 8305, "Connection Attempt Delay". */
const ATTEMPT_DELAY_MS = 250

/**
 * @param addresses  at least one IP address, best first
 * @param signal     the deadline, or the end of interest; its reason is what is thrown
 * @returns          a connected socket that may be half-open; the caller's
 * @throws           the system's error of the last attempt, when all have failed
 */
export function dial(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const attempts = new Set<Socket>()
  const waiting = [...addresses]
  let timer: NodeJS.Timeout | undefined

  const finish = (winner?: Socket): void => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    waiting.length = 0
    for (const attempt of attempts) if (attempt !== winner) attempt.destroy()
    attempts.clear()
  }
  const onAbort = (): void => {
    finish()
    reject(signal.reason)
  }
  const attemptNext = (): void => {
    clearTimeout(timer)
    const host = waiting.shift()
    if (host === undefined) return
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    attempts.add(socket)
    timer = setTimeout(attemptNext, ATTEMPT_DELAY_MS)
    socket.once('connect', () => {
      finish(socket)
      resolve(socket)
    })
    socket.on('error', (error) => {
      attempts.delete(socket)
      if (waiting.length > 0) attemptNext()
      if (attempts.size > 0) return
      finish()
      reject(error)
    })
  }

  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  else attemptNext()
  return promise
}
