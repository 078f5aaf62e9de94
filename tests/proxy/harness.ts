/**
 * A proxy in this process between a fake control, which speaks the real link, and instances that are servers on unix
 * sockets. Everything goes through real sockets; control does what the test says.
 */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, Server as HttpServer, type RequestListener } from 'node:http'
import { connect, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { assert } from '../../src/core/assert.ts'
import type {
  FromProxy,
  InstanceRoute,
  RevisionRoute,
  TaskRoute,
  ToProxy,
} from '../../src/core/link.ts'
import type { RawMessage } from '../../src/link/connection.ts'
import { LinkRole, openLinkServer, type LinkPeer } from '../../src/link/server.ts'
import type { InstanceStreams } from '../../src/proxy/fleet.ts'
import { Proxy, type ProxyOptions } from '../../src/proxy/proxy.ts'

type Message<Type extends FromProxy['type']> = FromProxy & { readonly type: Type }

/** Control's end of the link: remembers what the proxy said, and lets the test answer. */
export class FakeControl {
  readonly messages: FromProxy[] = []
  readonly #role: LinkRole<FromProxy, ToProxy>
  readonly #listeners = new Set<() => void>()
  /** Called for each message, after it was remembered. */
  onMessage: (message: FromProxy) => void = () => {}
  /** What a proxy that connects is told. */
  table: readonly TaskRoute[] = []
  #server: AsyncDisposable | undefined
  #barriers = 0

  constructor() {
    this.#role = new LinkRole<FromProxy, ToProxy>({
      name: 'proxy',
      parse: (raw) => (isFromProxy(raw) ? raw : undefined),
      onHello: (peer) => this.#greet(peer),
      onMessage: (_peer, message) => {
        this.messages.push(message)
        this.onMessage(message)
        for (const listener of this.#listeners) listener()
      },
    })
  }

  async listen(socketPath: string): Promise<void> {
    await rm(socketPath, { force: true })
    this.#server = await openLinkServer({ listen: { path: socketPath }, roles: [this.#role] })
  }

  send(message: ToProxy): void {
    this.#role.send(message)
  }

  /** Publishes tasks; when it resolves the proxy has heard of them. */
  async publish(...tasks: readonly TaskRoute[]): Promise<void> {
    for (const task of tasks) this.send({ type: 'task', task })
    await this.settled()
  }

  /** Resolves when the proxy has applied everything that was sent. */
  async settled(): Promise<void> {
    this.#barriers += 1
    const instance = `barrier-${this.#barriers}`
    this.send({ type: 'drain', instance, mode: 'idle' })
    await this.seen('drained', (message) => message.instance === instance)
  }

  /** Resolves when a proxy is connected. */
  async met(): Promise<void> {
    if (this.#role.isPresent) return
    const met = Promise.withResolvers<void>()
    this.#listeners.add(met.resolve)
    await met.promise
    this.#listeners.delete(met.resolve)
  }

  of<Type extends FromProxy['type']>(type: Type): readonly Message<Type>[] {
    return this.messages.filter((message): message is Message<Type> => message.type === type)
  }

  /** Waits until a message of the type fits. */
  async seen<Type extends FromProxy['type']>(
    type: Type,
    fits: (message: Message<Type>) => boolean = () => true,
  ): Promise<Message<Type>> {
    const found = Promise.withResolvers<Message<Type>>()
    const look = (): void => {
      const message = this.of(type).findLast(fits)
      if (message !== undefined) found.resolve(message)
    }
    this.#listeners.add(look)
    look()
    const message = await found.promise
    this.#listeners.delete(look)
    return message
  }

  async close(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
    this.#server = undefined
  }

  #greet(peer: LinkPeer<ToProxy>): void {
    peer.send({ type: 'table', tasks: this.table })
    for (const listener of this.#listeners) listener()
  }
}

export interface Bench extends AsyncDisposable {
  readonly control: FakeControl
  readonly proxy: Proxy
  readonly folder: string
  readonly linkPath: string
  readonly port: number
  /** Serves on a unix socket, as an instance of that id, until the end of the test. */
  serve(id: string, server: Server | RequestListener): Promise<InstanceRoute>
  /** A connection to the proxy. */
  connect(): Socket
}

/** Opens a proxy that has been told of the given tasks. */
export async function openBench(options: Partial<ProxyOptions> = {}): Promise<Bench> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-proxy-'))
  const linkPath = path.join(folder, 'link.sock')
  const control = new FakeControl()
  await control.listen(linkPath)
  const proxy = new Proxy({
    linkPath,
    openStreams: openUnixStreams,
    trusted: [],
    log: () => {},
    ...options,
  })
  await control.met()
  const server = proxy.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  const instances = new Set<Server | HttpServer>()
  return {
    control,
    proxy,
    folder,
    linkPath,
    port,
    connect: () => connect(port, '127.0.0.1'),
    serve: async (id, handler) => {
      const instance = typeof handler === 'function' ? createServer(handler) : handler
      instances.add(instance)
      const socketPath = path.join(folder, `${id}.sock`)
      instance.listen(socketPath)
      await once(instance, 'listening')
      return buildInstance({ id, endpoint: { kind: 'socket', path: socketPath } })
    },
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]()
      await control.close()
      for (const instance of instances) {
        instance.close()
        if (instance instanceof HttpServer) instance.closeAllConnections()
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export function portOf(server: Server): number {
  const address = server.address()
  assert(typeof address === 'object' && address !== null, 'the server listens on a port')
  return address.port
}

/** What a proxy in this process says is what its types say. */
function isFromProxy(raw: RawMessage | FromProxy): raw is FromProxy {
  return raw.type !== ''
}

export function openUnixStreams(endpoint: InstanceRoute['endpoint']): InstanceStreams {
  return {
    open: async (_port, signal, onread) => {
      const reading = onread === undefined ? {} : { onread }
      const socket = connect({ path: endpoint.path, allowHalfOpen: true, ...reading })
      try {
        await once(socket, 'connect', { signal })
      } catch (thrown) {
        socket.destroy()
        throw thrown
      }
      return socket
    },
    close: () => {},
  }
}

export function buildInstance(
  parts: Partial<InstanceRoute> & { readonly id: string },
): InstanceRoute {
  return {
    state: 'running',
    startKind: 'cold',
    endpoint: { kind: 'socket', path: '/nowhere' },
    ...parts,
  }
}

export function buildRevision(parts: Partial<RevisionRoute> = {}): RevisionRoute {
  return {
    revision: 1,
    percent: 100,
    httpPort: 8000,
    concurrency: 50,
    requestTimeoutMs: 5000,
    startTimeoutMs: 5000,
    queueLength: 1000,
    bodyBytes: null,
    instances: [],
    ...parts,
  }
}

export function buildTask(
  parts: Omit<Partial<TaskRoute>, 'revisions'> & {
    readonly revisions?: readonly Partial<RevisionRoute>[]
  } = {},
): TaskRoute {
  return {
    task: 'hello',
    routes: ['hello.localhost'],
    sticky: 'none',
    publish: [],
    refusal: null,
    ...parts,
    revisions: (parts.revisions ?? [{}]).map(buildRevision),
  }
}

export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly text: string
}

/** Sends raw bytes and reads until the proxy closes. */
export async function exchangeRaw(bench: Bench, bytes: string | Buffer): Promise<string> {
  const socket = bench.connect()
  socket.on('error', () => {})
  socket.write(bytes)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** One request on a connection of its own. */
export async function ask(
  bench: Bench,
  target: string,
  options: { readonly method?: string; readonly headers?: string; readonly body?: string } = {},
): Promise<Answer> {
  const { method = 'GET', headers = '', body } = options
  const host = /^host:/im.test(headers) ? '' : 'Host: hello.localhost\r\n'
  const length = body === undefined ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  const head = `${method} ${target} HTTP/1.1\r\n${host}Connection: close\r\n${headers}${length}\r\n`
  return parseAnswer(await exchangeRaw(bench, head + (body ?? '')))
}

export function parseAnswer(raw: string): Answer {
  const end = raw.indexOf('\r\n\r\n')
  const [first = '', ...lines] = raw.slice(0, end).split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
  }
  return { status: Number(first.split(' ')[1]), headers, text: raw.slice(end + 4) }
}
