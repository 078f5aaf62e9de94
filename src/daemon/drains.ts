/**
 * Questions to the proxies, whether anything is in flight at an instance, and what they answered.
 *
 * Several proxies may be connected: one that ends beside its successor. What is true of an instance is true when all of
 * them say so. A proxy that leaves has taken its requests with it; but whether an instance is idle is then for its
 * successor to say.
 */

export type DrainMode = 'idle' | 'retire'
export type DrainAnswer = 'drained' | 'busy'

interface Drain<Peer> {
  readonly mode: DrainMode
  /** Who has not answered yet. */
  readonly open: Set<Peer>
  readonly resolve: (answer: DrainAnswer) => void
}

export class Drains<Peer> {
  readonly #send: (peer: Peer, instance: string, mode: DrainMode) => void
  readonly #peers = new Set<Peer>()
  readonly #drains = new Map<string, Drain<Peer>>()

  /** @param send  asks one proxy */
  constructor(send: (peer: Peer, instance: string, mode: DrainMode) => void) {
    this.#send = send
  }

  async ask(instance: string, mode: DrainMode): Promise<DrainAnswer> {
    if (this.#peers.size === 0) return answerOfNone(mode)
    // Retiring overrules a question about idleness.
    this.#drains.get(instance)?.resolve('busy')
    const { promise, resolve } = Promise.withResolvers<DrainAnswer>()
    this.#drains.set(instance, { mode, open: new Set(this.#peers), resolve })
    for (const peer of this.#peers) this.#send(peer, instance, mode)
    return await promise
  }

  hear(peer: Peer, instance: string, answer: DrainAnswer): void {
    const drain = this.#drains.get(instance)
    if (drain === undefined) return
    if (answer === 'drained') this.#close(instance, drain, peer)
    // Else it is the late answer to a question about idleness: whoever retires waits for the last request.
    else if (drain.mode === 'idle') this.#settle(instance, drain, 'busy')
  }

  /** A proxy came: it does not know what the others were asked. */
  join(peer: Peer): void {
    this.#peers.add(peer)
    for (const [instance, drain] of this.#drains) {
      if (drain.mode === 'idle') {
        this.#settle(instance, drain, 'busy')
        continue
      }
      drain.open.add(peer)
      this.#send(peer, instance, drain.mode)
    }
  }

  leave(peer: Peer): void {
    this.#peers.delete(peer)
    for (const [instance, drain] of this.#drains) {
      if (!drain.open.has(peer)) continue
      if (drain.mode === 'idle') this.#settle(instance, drain, 'busy')
      else this.#close(instance, drain, peer)
    }
  }

  #close(instance: string, drain: Drain<Peer>, peer: Peer): void {
    drain.open.delete(peer)
    if (drain.open.size === 0) this.#settle(instance, drain, 'drained')
  }

  #settle(instance: string, drain: Drain<Peer>, answer: DrainAnswer): void {
    this.#drains.delete(instance)
    drain.resolve(answer)
  }
}

function answerOfNone(mode: DrainMode): DrainAnswer {
  return mode === 'retire' ? 'drained' : 'busy'
}
