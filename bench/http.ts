/** The client of the benchmarks: HTTP/1.1 over plain sockets, so that what is measured is the other side. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Between two tries to connect. Spinning would be finer, and take a core from what is being started. */
const CONNECT_RETRY_MS = 1
const ANSWER_TIMEOUT_MS = 60_000

export interface Target {
  readonly port: number
  /** Value of the Host field. */
  readonly host: string
}

export interface Answer {
  /** 0: the connection ended, or gave no answer in time. */
  readonly status: number
  /** From before the connection was opened to the end of the answer's head. */
  readonly ms: number
}

/** One request on a connection of its own. Never throws: what went wrong is status 0. */
export async function requestOnce(target: Target): Promise<Answer> {
  const startMs = performance.now()
  const socket = connect({ port: target.port, host: '127.0.0.1', noDelay: true })
  const status = await readStatus(socket, target)
  return { status, ms: performance.now() - startMs }
}

/**
 * Tries until something listens and answers.
 *
 * @returns when it answered, on the clock of `performance.now()`
 */
export async function untilAnswered(target: Target): Promise<number> {
  for (;;) {
    const { status } = await requestOnce(target)
    if (status === 200) return performance.now()
    if (status !== 0) throw new Error(`${target.host}:${target.port} answered ${status}`)
    await delay(CONNECT_RETRY_MS)
  }
}

async function readStatus(socket: Socket, target: Target): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  socket.on('error', () => resolve(0))
  socket.on('close', () => resolve(0))
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => resolve(0))
  let head = ''
  socket.on('data', (chunk) => {
    head += chunk.toString('latin1')
    if (head.includes('\r\n\r\n')) resolve(statusOf(head))
  })
  socket.write(encodeRequest(target, 'close'))
  const status = await promise
  socket.destroy()
  return status
}

export function encodeRequest({ host }: Target, connection: 'close' | 'keep-alive'): string {
  return `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: ${connection}\r\n\r\n`
}

export function statusOf(head: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0)
}

/** A port that nothing listens on at this moment. */
export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
