/**
 * Takes connections from executors of WebAssembly, which are many instances in one process: a stream socket whose first line
 * says which instance asks, and what for. It is answered by a line too, so that the guest can be told why it was refused.
 *
 *     ▶ <token> <name> <port>\n        ◀ ok\n, then bytes both ways    or   <code> <REASON> <message>\n, and the end
 *
 * Whoever connects is not trusted, as in `intake.ts`.
 */

import { createServer, type Server, type Socket } from 'node:net'

import type { QuiverError } from '../core/error.ts'

import { REQUEST_BYTES_MAX } from './request.ts'

export interface CallersOptions {
  /** Listening stream descriptor. */
  readonly listener: number
  /** A first line without its end; the socket is paused, and belongs to the callee. */
  readonly onRequest: (line: Buffer, client: Socket) => void
  /** Something failed; for the log. */
  readonly onProblem: (message: string) => void
}

/** Connections that have not sent their line yet: executors send it at once. */
const SILENT_MAX = 256
const SILENT_DEADLINE_MS = 5000
const LINE_END = 0x0a

export class Callers implements Disposable {
  readonly #options: CallersOptions
  readonly #silent = new Set<Socket>()
  #server: Server | undefined
  #isDisposed = false

  constructor(options: CallersOptions) {
    this.#options = options
  }

  /** Begins to accept; again is fine, after disposal it does nothing. Until then connections wait in the backlog. */
  start(): void {
    if (this.#isDisposed || this.#server !== undefined) return
    const { listener, onProblem } = this.#options
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#take(client))
    this.#server.on('error', (error) => onProblem(`executors: ${error.message}`))
    this.#server.listen({ fd: listener })
  }

  /** Accepts no more, and forgets those that have sent nothing. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#server?.close()
    for (const silent of this.#silent) silent.destroy()
  }

  #take(client: Socket): void {
    client.on('error', () => {})
    const [oldest] = this.#silent
    if (oldest !== undefined && this.#silent.size >= SILENT_MAX) {
      this.#options.onProblem(`${SILENT_MAX} executors have sent nothing; the oldest is closed`)
      oldest.destroy()
    }
    this.#silent.add(client)
    let received: Buffer = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const end = received.indexOf(LINE_END)
      if (end === -1 && received.length <= REQUEST_BYTES_MAX) return
      forget()
      client.pause()
      if (end === -1 || end > REQUEST_BYTES_MAX) {
        client.destroy()
        return
      }
      client.unshift(received.subarray(end + 1))
      this.#options.onRequest(received.subarray(0, end), client)
    }
    const timer = setTimeout(() => client.destroy(), SILENT_DEADLINE_MS)
    const forget = (): void => {
      clearTimeout(timer)
      this.#silent.delete(client)
      client.off('data', onData)
      client.off('end', onEnd)
      client.off('close', forget)
    }
    const onEnd = (): void => {
      client.destroy()
    }
    client.on('data', onData)
    client.on('end', onEnd)
    client.on('close', forget)
  }
}

export function accept(client: Socket): void {
  client.write('ok\n')
}

/** Says why, and ends the connection. */
export function refuse(client: Socket, { code, reason, message }: QuiverError): void {
  const text = message.replaceAll(/\s+/g, ' ')
  client.end(`${code} ${reason} ${text}\n`)
  // What it sent beside the request is of no use; unread, the end would not arrive.
  client.resume()
}
