/**
 * Control's end of the link: accepts the proxy and the egress relay, and tells them apart by their hello.
 *
 * It knows no message beyond `hello`. A `LinkRole` says how the messages of one kind of peer are parsed and who gets
 * them; several peers of a role may be connected at once (an old process that drains beside its successor).
 */

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import { QuiverError } from '../core/error.ts'

import { LinkConnection, type MessageParser, type RawMessage } from './connection.ts'

/** One connected process of the data plane. */
export interface LinkPeer<Out> {
  readonly role: string
  readonly pid: number
  send(message: Out): void
}

export interface LinkRoleOptions<In, Out> {
  /** As in the peer's hello. */
  readonly name: string
  readonly parse: MessageParser<In>
  /** A peer said hello: send it the whole truth, now. */
  readonly onHello: (peer: LinkPeer<Out>) => void
  readonly onMessage: (peer: LinkPeer<Out>, message: In) => void
  readonly onGone?: (peer: LinkPeer<Out>) => void
}

/** All peers of one role. */
export class LinkRole<In, Out extends object> {
  readonly #options: LinkRoleOptions<In, Out>
  readonly #peers = new Set<LinkPeer<Out>>()

  constructor(options: LinkRoleOptions<In, Out>) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }

  /** Whether any peer of this role is connected. */
  get isPresent(): boolean {
    return this.#peers.size > 0
  }

  /** Sends to every connected peer; none is connected: nothing happens, `onHello` will tell it all. */
  send(message: Out): void {
    for (const peer of this.#peers) peer.send(message)
  }

  /** For the server: a connection that said hello with this role's name. */
  admit(connection: LinkConnection, pid: number): AdmittedPeer {
    const options = this.#options
    const peer: LinkPeer<Out> = {
      role: options.name,
      pid,
      send: (message) => connection.send(message),
    }
    this.#peers.add(peer)
    options.onHello(peer)
    return {
      receive: (raw) => {
        const message = options.parse(raw)
        if (message !== undefined) options.onMessage(peer, message)
      },
      leave: () => {
        this.#peers.delete(peer)
        options.onGone?.(peer)
      },
    }
  }
}

interface AdmittedPeer {
  receive(raw: RawMessage): void
  leave(): void
}

/** What the server needs of a role, whatever its messages are. */
type AnyRole = Pick<LinkRole<unknown, object>, 'name' | 'admit'>

export interface LinkServerOptions {
  /** A listening descriptor that a supervisor handed over, or a path to bind. */
  readonly listen: { readonly fd: number } | { readonly path: string }
  readonly roles: readonly AnyRole[]
  /** A connection was broken off, and why; for the log. */
  readonly onProblem?: (problem: QuiverError) => void
}

/** The data plane sends changes only, never a whole table. */
const LINE_BYTES_MAX = 1024 ** 2

const HELLO_DEADLINE_MS = 5000

/**
 * Listens, and serves until disposed; disposal breaks every connection.
 *
 * @throws the system's error when the socket cannot be listened on
 */
export async function openLinkServer(options: LinkServerOptions): Promise<AsyncDisposable> {
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, options)
  })
  server.listen(options.listen)
  await once(server, 'listening')
  return { [Symbol.asyncDispose]: () => close(server, sockets) }
}

function serve(socket: Socket, options: LinkServerOptions): void {
  let peer: AdmittedPeer | undefined
  const connection = new LinkConnection(socket, {
    lineBytesMax: LINE_BYTES_MAX,
    onMessage: (raw) => {
      if (peer !== undefined) {
        peer.receive(raw)
        return
      }
      clearTimeout(timer)
      const { role, pid } = parseHello(raw, options.roles)
      peer = role.admit(connection, pid)
    },
    onClose: (problem) => {
      clearTimeout(timer)
      if (problem !== undefined) options.onProblem?.(problem)
      peer?.leave()
    },
  })
  const timer = setTimeout(() => {
    connection.close(new QuiverError('deadline_exceeded', 'LINK_SILENT', 'a peer said no hello'))
  }, HELLO_DEADLINE_MS)
}

/** @throws QuiverError `invalid_argument/LINK_MALFORMED` */
function parseHello(
  raw: RawMessage,
  roles: readonly AnyRole[],
): { readonly role: AnyRole; readonly pid: number } {
  const role = roles.find(({ name }) => name === raw['role'])
  const pid = raw['pid']
  if (raw.type === 'hello' && role !== undefined && typeof pid === 'number') return { role, pid }
  throw new QuiverError('invalid_argument', 'LINK_MALFORMED', 'the first message is not a hello')
}

async function close(server: Server, sockets: Iterable<Socket>): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  for (const socket of sockets) socket.destroy()
  await closed
}
