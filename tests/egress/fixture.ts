/**
 * An egress relay with everything around it real: a SOCK_SEQPACKET listener, TCP connections handed over as ainit hands
 * them over, TCP servers as outside hosts, and a unix socket in the place of the proxy's tunnel.
 */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'

import { assert } from '../../src/core/assert.ts'
import type { FromEgress, Grant, GrantTarget } from '../../src/core/link.ts'
import { Egress, type EgressLimits } from '../../src/egress/egress.ts'
import { close, connectSeqpacket, listenSeqpacket, send } from '../../src/fds/fds.ts'

export interface Fixture {
  readonly egress: Egress
  readonly path: string
  /** What control was told. */
  readonly reports: FromEgress[]
  /** What was logged. */
  readonly lines: string[]
  readonly tunnel: Server
}

export interface FixtureOptions {
  readonly resolver?: (name: string) => Promise<readonly string[]>
  readonly limits?: Partial<EgressLimits>
}

/** A relay that has not heard a policy yet. */
export async function openFixture(t: TestContext, options: FixtureOptions = {}): Promise<Fixture> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-egress-'))
  const socketPath = path.join(folder, 'egress.sock')
  const tunnelPath = path.join(folder, 'tunnel.sock')
  const listener = listenSeqpacket(socketPath, 0o600)
  const tunnel = createServer({ allowHalfOpen: true }).listen(tunnelPath)
  await once(tunnel, 'listening')
  const reports: FromEgress[] = []
  const lines: string[] = []
  const egress = new Egress({
    listener,
    tunnelPath,
    resolver: options.resolver ?? (async () => ['127.0.0.1']),
    send: (message) => reports.push(message),
    log: (line) => lines.push(line),
    limits: options.limits ?? {},
  })
  t.after(async () => {
    await egress[Symbol.asyncDispose]()
    close(listener)
    tunnel.close()
    await rm(folder, { recursive: true })
  })
  return { egress, path: socketPath, reports, lines, tunnel }
}

/** Instance `i1` of task `shop`, with the token `t1`. */
export function grantTo(...targets: readonly GrantTarget[]): Grant {
  return { instance: 'i1', task: 'shop', token: 't1', targets }
}

/** An outside host that may be on this machine, since tests have no other network. */
export function localHost(name: string, port: number): GrantTarget {
  return { kind: 'host', name, port, isPrivateAllowed: true }
}

/** A TCP server on a free port; its connections are the test's to answer. */
export async function listenTcp(
  t: TestContext,
  onConnection: (socket: Socket) => void,
  host: '127.0.0.1' | '::1' = '127.0.0.1',
): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    onConnection(socket)
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.after(() => server.close())
  return portOf(server)
}

/** Why tests that need \`::1\` cannot run here; false where they can. */
export async function ipv6Missing(): Promise<string | false> {
  const server = createServer().listen(0, '::1')
  try {
    await once(server, 'listening')
    server.close()
    return false
  } catch {
    return 'this machine has no IPv6'
  }
}

/** Connects as a task does, and hands the accepted end to the relay as ainit does. */
export async function relay(t: TestContext, socketPath: string, message: string): Promise<Socket> {
  const { client, accepted, fd } = await openPair(t)
  deliver(socketPath, Buffer.from(message), [fd])
  accepted.destroy()
  return client
}

/** A connected pair of TCP sockets; nothing is read from the accepted one, whose descriptor may be handed on. */
export async function openPair(
  t: TestContext,
): Promise<{ readonly client: Socket; readonly accepted: Socket; readonly fd: number }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {})
  t.after(() => client.destroy())
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')])
  server.close()
  return { client, accepted, fd: descriptorOf(accepted) }
}

/** As `relay`, for a task in a machine: a pair of unix sockets, one end of which is handed over. */
export async function relayUnix(
  t: TestContext,
  socketPath: string,
  message: string,
): Promise<Socket> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  const pairPath = `${socketPath}-pair`
  server.listen(pairPath)
  await once(server, 'listening')
  const client = connect({ path: pairPath, allowHalfOpen: true })
  client.on('error', () => {})
  t.after(() => client.destroy())
  const [accepted]: Socket[] = await once(server, 'connection')
  server.close()
  assert(accepted !== undefined, 'it was accepted')
  deliver(socketPath, Buffer.from(message), [descriptorOf(accepted)])
  accepted.destroy()
  return client
}

/** One connection to the relay's socket with one message. */
export function deliver(
  socketPath: string,
  bytes: Uint8Array,
  descriptors: readonly number[],
): void {
  const fd = connectSeqpacket(socketPath)
  send(fd, bytes, descriptors)
  close(fd)
}

/** All bytes, one character each, until the other side ends; the socket stays usable the other way, unlike with `stream/consumers`. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'end')
  return Buffer.concat(chunks).toString('latin1')
}

/** For what has no event to wait for. */
export async function until(condition: () => boolean): Promise<void> {
  if (condition()) return
  await setTimeout(2)
  await until(condition)
}

/** How a connection ended for the task: by a reset (`ECONNRESET`) or properly (`end`). */
export async function endOf(client: Socket): Promise<string> {
  client.resume()
  const { promise, resolve } = Promise.withResolvers<string>()
  client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  client.once('end', () => resolve('end'))
  return await promise
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address()
  assert(typeof address === 'object' && address !== null, 'a TCP server has an address')
  return address.port
}

/** Node.js keeps the number of a socket's descriptor to itself. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  assert(typeof handle === 'object' && handle !== null && 'fd' in handle, 'a socket has a handle')
  assert(typeof handle.fd === 'number', 'a handle has a descriptor')
  return handle.fd
}
