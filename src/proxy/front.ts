/**
 * The HTTP side that clients see: accepts connections, refuses what is not exactly HTTP/1, finds the task of each
 * request, and hands it to an exchange. Node's parser is used in its strict form; what it lets pass and a proxy must
 * not, is refused here.
 */

import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { isIPv6, type BlockList, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { http, loadHttps } from '../core/http.ts'

import { Exchange, type ExchangeContext, type Upgrade } from './exchange.ts'
import { sendFailure, sendRawFailure, type Failure } from './failure.ts'
import * as failures from './failures.ts'
import type { Task } from './fleet.ts'
import { acceptRequestId, type Origin } from './headers.ts'
import { isHost, type RouteTable } from './table.ts'

export interface FrontLimits {
  /** From the first byte of a head to its last. */
  readonly headTimeoutMs: number
  /** How long a connection may stay without a request. */
  readonly idleTimeoutMs: number
  readonly headBytesMax: number
  readonly headersMax: number
}

export const FRONT_LIMITS: FrontLimits = {
  headTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
  headBytesMax: 32 * 1024,
  headersMax: 200,
}

export interface FrontOptions {
  readonly exchanges: ExchangeContext
  readonly table: RouteTable<Task>
  /** Answers the health path; also when everything else is refused. */
  readonly health: () => object
  /** Whoever may say where a request came from. */
  readonly trusted: BlockList
  readonly limits: FrontLimits
}

/** PEM text. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

export const HEALTH_PATH = '/.well-known/quiver/health'

/** What is known of a connection. */
interface Peer {
  readonly origin: Origin
  /** All requests of this connection are for one task. */
  readonly task: Task | null
  /** The newest answer. */
  response: ServerResponse | null
}

const ID_PREFIX = Math.floor(Math.random() * 36 ** 8).toString(36)

export class Front {
  readonly #options: FrontOptions
  readonly #peers = new WeakMap<Duplex, Peer>()
  #requests = 0
  #isStopping = false

  constructor(options: FrontOptions) {
    this.#options = options
  }

  /** From now on every answer closes its connection. */
  stop(): void {
    this.#isStopping = true
  }

  /** A server that the caller lets listen. */
  createServer(): Server {
    return this.#serve(http.createServer(this.#buildServerOptions()))
  }

  createSecureServer(certificate: Certificate): SecureServer {
    const options = {
      ...this.#buildServerOptions(),
      ...certificate,
      minVersion: 'TLSv1.2' as const,
    }
    return this.#serve(loadHttps().createServer(options))
  }

  #buildServerOptions() {
    const { limits } = this.#options
    return {
      headersTimeout: limits.headTimeoutMs,
      // Bodies may take long; the exchange watches that they move.
      requestTimeout: 0,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, limits.headTimeoutMs),
      maxHeaderSize: limits.headBytesMax,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      insecureHTTPParser: false,
      joinDuplicateHeaders: false,
      // Checked with the other rules for the Host header, for one kind of answer.
      requireHostHeader: false,
      optimizeEmptyRequests: true,
      shouldUpgradeCallback: (request: IncomingMessage) => readUpgrade(request) !== null,
    } satisfies ServerOptions
  }

  #serve<S extends Server | SecureServer>(server: S): S {
    // Node would leave the rest out without a word; we count by ourselves.
    server.maxHeadersCount = 0
    server.on('request', (request, response) => this.#receive(request, response, false))
    server.on('checkContinue', (request, response) => this.#receive(request, response, true))
    server.on('checkExpectation', (request, response) => {
      this.#refuse(request, response, failures.unknownExpectation())
    })
    server.on('upgrade', (request, socket, rest) => this.#receiveUpgrade(request, socket, rest))
    server.on('connect', (_request, socket) => {
      this.#refuseSocket(socket, failures.noTunnel())
    })
    server.on('clientError', (error, socket) => this.#onClientError(error, socket))
    return server
  }

  /** Lets a server serve a connection that it did not accept, all of it for one task. */
  adopt(server: Server, socket: Socket, task: Task, fromTask: string): void {
    const origin = { address: '127.0.0.1', isSecure: false, isTrusted: false, fromTask }
    this.#peers.set(socket, { origin, task, response: null })
    server.emit('connection', socket)
  }

  #receive(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const peer = this.#peer(request.socket)
    peer.response = response
    if (this.#isStopping) response.shouldKeepAlive = false
    this.#route(request, response, peer, expectsContinue, null)
  }

  #receiveUpgrade(request: IncomingMessage, socket: Duplex, rest: Buffer): void {
    const response = new http.ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(request.socket)
    const stopWatching = watch(socket, response)
    const peer = this.#peer(socket)
    peer.response = response
    const protocol = readUpgrade(request) ?? ''
    const upgrade = { protocol, rest, stopWatching }
    this.#route(request, response, peer, false, upgrade)
  }

  #route(
    request: IncomingMessage,
    response: ServerResponse,
    peer: Peer,
    expectsContinue: boolean,
    upgrade: Upgrade | null,
  ): void {
    const { headersMax } = this.#options.limits
    const checked = checkRequest(request, headersMax)
    if ('error' in checked) {
      // Who sends this may mean something else by what follows.
      this.#refuse(request, response, checked, true)
      return
    }
    const { host, target } = checked
    const question = target.indexOf('?')
    const path = question === -1 ? target : target.slice(0, question)
    if (path === HEALTH_PATH && peer.task === null) {
      this.#answerHealth(request, response)
      return
    }
    const found = peer.task ?? this.#find(request.method ?? '', host, path)
    if ('error' in found) {
      this.#refuse(request, response, found)
      return
    }
    const requestId = this.#requestId(request)
    const { origin } = peer
    const asked = { task: found, target, host, requestId, origin, upgrade, expectsContinue }
    new Exchange(this.#options.exchanges, request, response, asked).start()
  }

  #find(method: string, host: string, path: string): Task | Failure {
    const match = this.#options.table.match(method, host, path)
    switch (match.kind) {
      case 'found':
        return match.value
      case 'host':
        return failures.noRoute(host)
      case 'path':
        return failures.noPath(host)
      case 'method':
        return failures.wrongMethod(match.allowed)
      case 'ambiguous':
        return failures.ambiguousPath()
      default:
        return match satisfies never
    }
  }

  #answerHealth(request: IncomingMessage, response: ServerResponse): void {
    const status = this.#isStopping ? 503 : 200
    const body = `${JSON.stringify(this.#options.health())}\n`
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Request-Id': this.#requestId(request),
    })
    response.end(body)
  }

  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    failure: Failure,
    closes = false,
  ): void {
    sendFailure(response, failure, this.#requestId(request), closes)
  }

  #refuseSocket(socket: Duplex, failure: Failure): void {
    sendRawFailure(socket, failure, this.#nextId())
  }

  /** The parser gave up: on a new request, or on the body of the present one. */
  #onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const response = this.#peers.get(socket)?.response ?? null
    const isBusy = response !== null && !response.writableFinished
    // What follows an unfinished answer cannot be answered in order.
    const isOfBody = isBusy && !response.headersSent && !response.req.complete
    if (!socket.writable || error.code === 'ECONNRESET' || (isBusy && !isOfBody)) {
      socket.destroy()
      return
    }
    this.#refuseSocket(socket, describeClientError(error))
  }

  #peer(socket: Duplex): Peer {
    const known = this.#peers.get(socket)
    if (known !== undefined) return known
    const address = readAddress(socket)
    const isTrusted =
      address !== '' && this.#options.trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
    const isSecure = 'encrypted' in socket && socket.encrypted === true
    const origin = { address, isSecure, isTrusted, fromTask: null }
    const peer = { origin, task: null, response: null }
    this.#peers.set(socket, peer)
    return peer
  }

  #requestId(request: IncomingMessage): string {
    return acceptRequestId(request.headers['x-request-id']) ?? this.#nextId()
  }

  #nextId(): string {
    this.#requests += 1
    return `${ID_PREFIX}-${this.#requests.toString(36)}`
  }
}

/** Host and target of a request that is fit to be forwarded. */
function checkRequest(
  request: IncomingMessage,
  headersMax: number,
): { readonly host: string; readonly target: string } | Failure {
  const { rawHeaders, headers } = request
  if (rawHeaders.length > headersMax * 2) return failures.headTooLarge()
  const { httpVersion } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return failures.invalidRequest(`HTTP/${httpVersion} is not spoken here`)
  }
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  if (hosts !== 1) return failures.invalidRequest('the request must have exactly one Host header')
  const encoding = headers['transfer-encoding']
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked') return failures.unknownEncoding()
    const isPlain = httpVersion === '1.1' && headers['content-length'] === undefined
    if (!isPlain) return failures.invalidRequest('the length of the body is ambiguous')
  }
  const url = request.url ?? ''
  const written = headers.host ?? ''
  if (!isHost(written)) return failures.invalidRequest('the Host header is not a host')
  if (url.startsWith('/')) return { host: written, target: url }
  if (url === '*' && request.method === 'OPTIONS') return { host: written, target: url }
  const [, host, target = ''] = /^https?:\/\/([^/?#]*)([^#]*)$/i.exec(url) ?? []
  if (host === undefined || !isHost(host)) {
    return failures.invalidRequest('the target is neither a path nor an http URL')
  }
  return { host, target: target.startsWith('/') ? target : `/${target}` }
}

/** The protocol to switch to, in lower case; null when the request is to be treated as a plain one. */
function readUpgrade(request: IncomingMessage): string | null {
  const { upgrade } = request.headers
  if (upgrade === undefined || request.method !== 'GET') return null
  const hasBody =
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  const protocol = upgrade.toLowerCase()
  // HTTP/2 in the clear would let requests pass by the proxy's rules.
  if (hasBody || !/^[\w./-]+$/.test(protocol) || protocol.startsWith('h2')) return null
  return protocol
}

/**
 * A connection that is being upgraded belongs to nobody: this notices when the client leaves, and lets the answer drain.
 *
 * @returns stops that
 */
function watch(socket: Duplex, response: ServerResponse): () => void {
  const poke = (): void => {
    if (socket.readableLength === 0) socket.read()
  }
  const abandon = (): void => {
    socket.destroy()
  }
  const drain = (): void => {
    response.emit('drain')
  }
  socket.on('readable', poke)
  socket.on('end', abandon)
  socket.on('error', abandon)
  socket.on('drain', drain)
  response.once('finish', () => socket.end())
  return () => {
    socket.off('readable', poke)
    socket.off('end', abandon)
    socket.off('error', abandon)
    socket.off('drain', drain)
  }
}

function describeClientError(error: NodeJS.ErrnoException): Failure {
  if (error.code === 'HPE_HEADER_OVERFLOW') return failures.headTooLarge()
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return failures.headTimeout()
  const { code = '' } = error
  const what = code.startsWith('HPE_') ? code.slice(4).toLowerCase().replaceAll('_', ' ') : ''
  return failures.invalidRequest(`the request is not HTTP/1${what === '' ? '' : ` (${what})`}`)
}

function readAddress(socket: Duplex): string {
  const address = 'remoteAddress' in socket ? socket.remoteAddress : undefined
  if (typeof address !== 'string') return ''
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
