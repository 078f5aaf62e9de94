/**
 * Connections to declared targets. In an executor of many modules they are egress's to make, which is shown the token of the
 * instance that asks; in a sandbox of its own, a module's names lead to egress by themselves.
 */

import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { CODES, QuiverError, type Code } from '../../core/error.ts'
import type { OutsidePlan } from '../protocol.ts'

import type { Target } from './targets.ts'

/** `ok`, or a refusal (egress/callers.ts). */
const LINE_BYTES_MAX = 4096
const LINE_END = 0x0a

/**
 * @param signal  its reason is thrown when it is aborted first
 * @returns       a connected stream, over TLS where the target is secure
 * @throws QuiverError as egress refuses, `unavailable/TARGET_UNREACHABLE`, `unavailable/TLS_FAILED`
 */
export async function dial(
  target: Target,
  { egress }: OutsidePlan,
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted()
  const socket =
    egress === null
      ? connect({ host: target.name, port: target.port, noDelay: true })
      : connect({ path: egress.path })
  const abort = (): void => {
    socket.destroy()
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await untilEvent(socket, 'connect')
    if (egress !== null) await introduce(socket, `${egress.token} ${target.name} ${target.port}\n`)
    return target.isSecure ? await secure(socket, target.name) : socket
  } catch (thrown) {
    socket.destroy()
    if (signal.aborted) throw signal.reason
    throw thrown instanceof QuiverError ? thrown : unreachable(target, thrown)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function introduce(socket: Socket, line: string): Promise<void> {
  socket.write(line)
  const answer = await readLine(socket)
  if (answer === 'ok') return
  const [, code = '', reason = '', message = answer] = /^(\w+) (\w+) (.*)$/.exec(answer) ?? []
  const known = isCode(code) ? code : 'unavailable'
  throw new QuiverError(known, reason === '' ? 'TARGET_UNREACHABLE' : reason, message)
}

/** Without taking what follows it. */
async function readLine(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let received: Buffer = Buffer.alloc(0)
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk])
    const end = received.indexOf(LINE_END)
    if (end === -1 && received.length <= LINE_BYTES_MAX) return
    socket.pause()
    socket.off('data', onData)
    if (end < received.length - 1) socket.unshift(received.subarray(end + 1))
    resolve(received.toString('latin1', 0, end))
  }
  const onClose = (): void => reject(new Error('egress closed the connection'))
  socket.on('data', onData)
  socket.once('close', onClose)
  try {
    return await promise
  } finally {
    socket.off('close', onClose)
  }
}

/** The name is verified, against the authorities that Node.js brings. */
async function secure(socket: Socket, name: string): Promise<Duplex> {
  // TLS is large: loaded by the first thread that needs it.
  const [tls, net] = [process.getBuiltinModule('node:tls'), process.getBuiltinModule('node:net')]
  const servername = net.isIP(name) === 0 ? name : ''
  const stream = tls.connect({ socket, host: name, servername, ALPNProtocols: ['http/1.1'] })
  try {
    await untilEvent(stream, 'secureConnect')
    return stream
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new QuiverError('unavailable', 'TLS_FAILED', `${name} cannot be trusted: ${why}`, {
      cause: thrown,
      hint: 'Its certificate must be for this name, and signed by a public authority.',
    })
  }
}

/** As `once`, which does not notice a socket that is destroyed without an error. */
async function untilEvent(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onClose = (): void => reject(new Error('the connection was closed'))
  socket.once(event, resolve)
  socket.once('close', onClose)
  // For its whole life: what breaks later is noticed by whoever reads.
  socket.on('error', reject)
  try {
    await promise
  } finally {
    socket.off('close', onClose)
  }
}

function unreachable({ name, port }: Target, thrown: unknown): QuiverError {
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  const message = `${name}:${port} cannot be reached: ${why}`
  return new QuiverError('unavailable', 'TARGET_UNREACHABLE', message, { cause: thrown })
}

function isCode(code: string): code is Code {
  return Object.hasOwn(CODES, code)
}
