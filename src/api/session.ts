/**
 * Sessions: an upgraded connection on the caller's side, a driver's `Session` on the other, frames between them.
 * Both directions wait for their reader. When the caller hangs up, the session is disposed.
 */

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { QuiverError } from '../core/error.ts'
import { FRAME, FrameDecoder } from '../core/frames.ts'
import type { Frame } from '../core/frames.ts'
import { http } from '../core/http.ts'
import type { Session } from '../drivers/driver.ts'

import { checkAccess } from './access.ts'
import type { Access } from './access.ts'
import { buildErrorBody, requestIdOf, statusOf } from './answer.ts'
import { parsePart } from './parse.ts'
import { SCHEMAS, attachRequest, execRequest } from './schemas.ts'
import type { ControlService, OpenedSession } from './service.ts'
import {
  UPGRADE,
  decodeJson,
  decodeResize,
  decodeSignal,
  encodeBytes,
  encodeExit,
  encodeJson,
} from './stdio.ts'

export class SessionServer {
  readonly #service: ControlService
  readonly #sockets = new Set<Duplex>()

  constructor(service: ControlService) {
    this.#service = service
  }

  /** Takes over a connection that asks for an upgrade. */
  accept(access: Access, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    try {
      checkAccess(access, request)
      const target = parseTarget(request)
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${UPGRADE}\r\n\r\n`,
      )
      if (head.length > 0) socket.unshift(head)
      void serve(this.#service, target, socket)
    } catch (error) {
      refuse(socket, QuiverError.from(error), requestIdOf(request.headers['x-request-id']))
    }
  }

  /** Hangs up on everybody. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** @throws QuiverError `not_found/ENDPOINT_NOT_FOUND`, `invalid_argument/REQUEST_INVALID` */
function parseTarget(request: IncomingMessage): string {
  const { pathname } = new URL(request.url ?? '/', 'http://node')
  const [, target] = /^\/v1\/sessions\/([^/]+)$/.exec(pathname) ?? []
  if (target !== undefined && request.headers.upgrade === UPGRADE) {
    return parsePart(SCHEMAS.session.params, { target }, 'params').target
  }
  throw new QuiverError('not_found', 'ENDPOINT_NOT_FOUND', `${pathname} is not a session`, {
    hint: `Sessions are at /v1/sessions/:target and upgrade to ${UPGRADE}.`,
  })
}

function refuse(socket: Duplex, error: QuiverError, requestId: string): void {
  const status = statusOf(error)
  const body = JSON.stringify({ ...buildErrorBody(error), requestId })
  const head = [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? 'Error'}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** Never rejects: whatever goes wrong is the last frame. */
async function serve(service: ControlService, target: string, socket: Duplex): Promise<void> {
  const caller = new AbortController()
  const gone = new QuiverError('canceled', 'CALLER_GONE', 'the caller has gone')
  socket.once('close', () => caller.abort(gone))
  socket.once('end', () => caller.abort(gone))
  try {
    const frames = readFrames(socket)
    const first = await frames.next()
    if (first.done === true) return void socket.end()
    const opened = await openSession(service, target, first.value, caller.signal)
    await using session = opened.session
    await write(socket, encodeJson(FRAME.EVENT, { instance: opened.instance }))
    await bridge(session, frames, socket, caller.signal)
  } catch (thrown) {
    const error = QuiverError.from(thrown)
    if (!socket.destroyed) socket.end(encodeJson(FRAME.ERROR, buildErrorBody(error)))
    return
  }
  socket.end()
}

async function openSession(
  service: ControlService,
  target: string,
  first: Frame,
  signal: AbortSignal,
): Promise<OpenedSession> {
  if (first.type === FRAME.EXEC) {
    const request = parsePart(execRequest, decodeJson(first.payload), 'exec')
    return service.exec(target, request, signal)
  }
  if (first.type === FRAME.ATTACH) {
    const { isPrimary } = parsePart(attachRequest, decodeJson(first.payload), 'attach')
    return service.attach(target, isPrimary, signal)
  }
  throw new QuiverError('invalid_argument', 'FRAME_INVALID', 'a session begins with EXEC or ATTACH')
}

/** Resolves when the process has ended and its output is written, or the caller has gone. */
async function bridge(
  session: Session,
  frames: AsyncIterable<Frame>,
  socket: Duplex,
  caller: AbortSignal,
): Promise<void> {
  const gone = new Promise<'gone'>((resolve) => {
    caller.addEventListener('abort', () => resolve('gone'), { once: true })
    if (caller.aborted) resolve('gone')
  })
  // Input that the process no longer reads is nobody's failure.
  session.stdin.on('error', () => {})
  const input = forwardInput(session, frames).then(() => gone)
  const output = Promise.all([
    forwardOutput(session.stdout, FRAME.STDOUT, socket),
    forwardOutput(session.stderr, FRAME.STDERR, socket),
    session.status,
  ])
  // The loser is settled by the disposal of the session; it must not count as unhandled then.
  output.catch(() => {})
  input.catch(() => {})
  const end = await Promise.race([output, input, gone])
  if (end !== 'gone') await write(socket, encodeExit(end[2]))
}

async function forwardInput(session: Session, frames: AsyncIterable<Frame>): Promise<void> {
  for await (const { type, payload } of frames) {
    if (type === FRAME.STDIN) await write(session.stdin, payload)
    if (type === FRAME.STDIN_EOF) session.stdin.end()
    if (type === FRAME.KILL_SESSION) session.signal(decodeSignal(payload))
    if (type !== FRAME.RESIZE) continue
    const { rows, columns } = decodeResize(payload)
    session.resize(rows, columns)
  }
}

async function forwardOutput(
  output: NodeJS.ReadableStream,
  type: number,
  socket: Duplex,
): Promise<void> {
  for await (const chunk of output) {
    for (const frame of encodeBytes(type, Buffer.from(chunk))) {
      await write(socket, frame)
    }
  }
}

async function* readFrames(socket: Duplex): AsyncGenerator<Frame> {
  const reader = new FrameDecoder()
  const chunks: AsyncIterable<Buffer> = socket.iterator({ destroyOnReturn: false })
  for await (const chunk of chunks) {
    yield* reader.push(chunk)
  }
}

/** Resolves when more may be written. A stream that has ended swallows what comes: nobody reads it any more. */
async function write(stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> {
  if (!stream.writable || stream.write(bytes)) return
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.once('drain', resolve)
  stream.once('close', resolve)
  stream.once('error', resolve)
  await promise
  stream.off('drain', resolve)
  stream.off('close', resolve)
  stream.off('error', resolve)
}
