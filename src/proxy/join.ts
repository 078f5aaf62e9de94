/** Two sockets made one: bytes both ways with back-pressure, each half closed by itself. */

import type { Duplex } from 'node:stream'

/**
 * Pipes until both directions have ended, or either side breaks: then both are destroyed.
 *
 * @param onOver  called once, when both sockets are closed
 */
export function join(a: Duplex, b: Duplex, onOver: () => void): void {
  let open = 2
  const onClose = (): void => {
    open -= 1
    if (open === 0) onOver()
  }
  link(a, b, onClose)
  link(b, a, onClose)
  a.pipe(b)
  b.pipe(a)
}

function link(from: Duplex, to: Duplex, onClose: () => void): void {
  from.on('error', () => to.destroy())
  from.once('close', () => {
    // A clean end has been passed on by the pipe; anything else breaks the other side.
    if (!from.readableEnded || !from.writableFinished) to.destroy()
    onClose()
  })
  if (from.destroyed) to.destroy()
}
