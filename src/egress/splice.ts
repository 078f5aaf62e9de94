/** Joins two sockets: bytes both ways, each way closed on its own, each way as slow as its reader. */

import type { Socket } from 'node:net'

/** A peer that vanished without a word is noticed after this and the kernel's probes. */
const KEEP_ALIVE_DELAY_MS = 60_000

/**
 * Both sockets must allow to be half-open, and have error listeners. When one breaks, the other is reset, so that a
 * cut stream never looks like a finished one.
 *
 * @param onBytes  called for each chunk, with the side that it came from
 */
export function splice(
  left: Socket,
  right: Socket,
  onBytes: (from: Socket, count: number) => void,
): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    from.setKeepAlive(true, KEEP_ALIVE_DELAY_MS)
    from.on('data', (chunk: Buffer) => onBytes(from, chunk.length))
    from.once('close', () => {
      if (!isFinished(from)) reset(to)
    })
    from.pipe(to)
  }
  // What broke while the sockets were being joined has no close event to come.
  if (left.destroyed) reset(right)
  if (right.destroyed) reset(left)
}

/** Ends a connection with RST where there is such a thing (TCP), else just ends it. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

/** Whether both ways of a closed socket came to their proper end. */
function isFinished(socket: Socket): boolean {
  return socket.readableEnded && socket.writableFinished
}
