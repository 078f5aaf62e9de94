/**
 * A load generator without coordinated omission: requests leave on a schedule, whether or not earlier ones have been
 * answered, and each one's latency counts from the moment at which it should have left.
 *
 * It spins, because timers are a millisecond coarse: give it a core of its own. Where there is none to give, it paces itself by
 * timers instead. A request may then leave a little late, and its latency counts from there.
 */

import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import { encodeRequest, statusOf, type Target } from './http.ts'

export interface Load {
  readonly perSecond: number
  readonly durationMs: number
  /** The schedule's beginning that is not counted. */
  readonly warmUpMs: number
  /** False: there is no core to spin on. */
  readonly isSpinning?: boolean
}

export interface Measured {
  /** Milliseconds, of requests answered 200. */
  readonly samples: readonly number[]
  readonly failed: number
}

/** More than are ever needed at once unless the other side is overloaded. */
const CONNECTIONS_MAX = 256

export async function generate(target: Target, load: Load): Promise<Measured> {
  const generator = new Generator(target)
  const count = Math.floor((load.perSecond * (load.warmUpMs + load.durationMs)) / 1000)
  const startMs = performance.now()
  for (let index = 0; index < count; index++) {
    const dueMs = startMs + (index * 1000) / load.perSecond
    const isCounted = dueMs - startMs >= load.warmUpMs
    if (load.isSpinning === false) {
      await delay(Math.max(0, dueMs - performance.now()))
      generator.send(performance.now(), isCounted)
    } else {
      while (performance.now() < dueMs) await new Promise(setImmediate)
      generator.send(dueMs, isCounted)
    }
  }
  return await generator.finish()
}

interface Pending {
  readonly fromMs: number
  readonly isCounted: boolean
}

class Generator {
  readonly #request: string
  readonly #port: number
  readonly #idle: Socket[] = []
  readonly #sockets = new Set<Socket>()
  /** Due, while every connection is busy and there may be no more. */
  readonly #waiting: Pending[] = []
  readonly #samples: number[] = []
  readonly #finished = Promise.withResolvers<void>()
  #failed = 0
  #pending = 0
  #isEnding = false

  constructor(target: Target) {
    this.#request = encodeRequest(target, 'keep-alive')
    this.#port = target.port
  }

  send(fromMs: number, isCounted: boolean): void {
    this.#pending++
    const pending = { fromMs, isCounted }
    const socket = this.#idle.pop()
    if (socket !== undefined) this.#use(socket, pending)
    else if (this.#sockets.size < CONNECTIONS_MAX) this.#use(this.#open(), pending)
    else this.#waiting.push(pending)
  }

  /** Resolves when every request has its answer. */
  async finish(): Promise<Measured> {
    this.#isEnding = true
    if (this.#pending > 0) await this.#finished.promise
    for (const socket of this.#sockets) socket.destroy()
    return { samples: this.#samples, failed: this.#failed }
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }

  #use(socket: Socket, pending: Pending): void {
    let received = ''
    const settle = (isAnswered: boolean): void => {
      socket.off('data', hear).off('close', lose).off('error', ignore)
      this.#settle(pending, isAnswered)
      if (!isAnswered) return
      const next = this.#waiting.shift()
      if (next === undefined) this.#idle.push(socket)
      else this.#use(socket, next)
    }
    const hear = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      if (isComplete(received)) settle(statusOf(received) === 200)
    }
    const lose = (): void => settle(false)
    socket.on('data', hear).on('close', lose).on('error', ignore)
    socket.write(this.#request)
  }

  #settle({ fromMs, isCounted }: Pending, isAnswered: boolean): void {
    this.#pending--
    if (!isAnswered) this.#failed++
    else if (isCounted) this.#samples.push(performance.now() - fromMs)
    if (this.#isEnding && this.#pending === 0) this.#finished.resolve()
  }
}

/** 'close' follows and counts. */
function ignore(): void {}

/** Of an answer with a Content-Length, which is what the measured server sends. */
function isComplete(received: string): boolean {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return false
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(received.slice(0, headEnd))?.[1] ?? 0)
  return received.length >= headEnd + 4 + length
}
