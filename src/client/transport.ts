/** One HTTP exchange with a node, and what its failures mean. Knows addresses and tokens, not calls. */

import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

import { CODES, QuiverError } from '../core/error.ts'
import type { Code } from '../core/error.ts'
import { http, loadHttps } from '../core/http.ts'

import { formatAddress } from './address.ts'
import type { NodeAddress } from './address.ts'

export interface TransportOptions {
  readonly address: NodeAddress
  /** For TCP; a unix socket needs none. */
  readonly token: string | undefined
}

export interface Exchange {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Readable
}

const SOCKETS_MAX = 8
/** Nothing listens, or the way or the name does not exist. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
])

export class Transport implements Disposable {
  readonly #options: TransportOptions
  // An agent serves one protocol; only https needs the other module, so it is loaded on use.
  #agent: Agent | undefined

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** Resolves with a successful response; its body is the caller's. @throws QuiverError what the node answered */
  async exchange(exchange: Exchange, signal: AbortSignal): Promise<IncomingMessage> {
    const request = this.#request(exchange, {}, signal)
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request.once('response', resolve)
    request.once('error', reject)
    try {
      const sent = send(request, exchange.body)
      // A node that refuses an upload answers before it has read it all: its answer says more than the broken pipe.
      sent.catch(() => {})
      const response = await promise
      if (response.statusCode === 200) return response
      throw await readError(response)
    } catch (error) {
      throw this.#translate(error, signal)
    }
  }

  /** Resolves with the connection after the upgrade, and what came with it. @throws QuiverError as `exchange` */
  async upgrade(path: string, protocol: string, signal: AbortSignal): Promise<Upgraded> {
    const headers = { connection: 'upgrade', upgrade: protocol }
    const request = this.#request({ method: 'GET', path, headers }, { agent: false }, signal)
    const { promise, resolve, reject } = Promise.withResolvers<Upgraded | IncomingMessage>()
    request.once('upgrade', (_response, socket, head) => resolve({ socket, head }))
    request.once('response', resolve)
    request.once('error', reject)
    request.end()
    try {
      const answer = await promise
      if ('socket' in answer && 'head' in answer) return answer
      throw await readError(answer)
    } catch (error) {
      throw this.#translate(error, signal)
    }
  }

  [Symbol.dispose](): void {
    this.#agent?.destroy()
  }

  #request(
    { method, path, headers }: Exchange,
    extra: RequestOptions,
    signal: AbortSignal,
  ): ClientRequest {
    const { address, token } = this.#options
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const options = { method, path, headers: { ...headers, ...authorization }, signal, ...extra }
    if (address.kind === 'http' && address.url.protocol === 'https:') {
      const https = loadHttps()
      this.#agent ??= new https.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX })
      return https.request(address.url, { agent: this.#agent, ...options })
    }
    this.#agent ??= new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX })
    if (address.kind === 'http')
      return http.request(address.url, { agent: this.#agent, ...options })
    return http.request({ socketPath: address.path, agent: this.#agent, ...options })
  }

  #translate(thrown: unknown, signal: AbortSignal): QuiverError {
    if (thrown instanceof QuiverError) return thrown
    if (signal.aborted) {
      return new QuiverError('canceled', 'INTERRUPTED', 'interrupted', { cause: thrown })
    }
    const where = formatAddress(this.#options.address)
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
    if (code === 'EACCES' || code === 'EPERM') {
      return new QuiverError('permission_denied', 'NODE_DENIED', `you may not use ${where}`, {
        hint: 'Use sudo, or join the group that owns the socket.',
        cause: thrown,
      })
    }
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    if (typeof code === 'string' && UNREACHABLE.has(code)) {
      return new QuiverError('unavailable', 'NODE_UNREACHABLE', `no node answers at ${where}`, {
        hint:
          this.#options.address.kind === 'unix'
            ? 'Start one with "quiver up".'
            : 'Check the address. The node there has to run with --listen-api.',
        cause: thrown,
      })
    }
    if (code === 'EPROTO') {
      return new QuiverError('unavailable', 'NODE_SPEAKS_NO_TLS', `${where} does not speak TLS`, {
        hint: 'Write http:// in front of the address, or put something that ends TLS before the node.',
        cause: thrown,
      })
    }
    return new QuiverError('unavailable', 'CONNECTION_LOST', `the node at ${where}: ${message}`, {
      hint: 'See what the node says: it may have been restarted. Then try again.',
      cause: thrown,
    })
  }
}

export interface Upgraded {
  readonly socket: Duplex
  /** First bytes after the head of the answer. */
  readonly head: Buffer
}

async function send(request: ClientRequest, body: string | Readable | undefined): Promise<void> {
  if (body === undefined || typeof body === 'string') {
    request.end(body)
    return
  }
  await pipeline(body, request)
}

async function readError(response: IncomingMessage): Promise<QuiverError> {
  const body: unknown = await json(response).catch(() => undefined)
  if (isOfProxy(body)) {
    const message = 'the applications of a node answer there, not its API'
    return new QuiverError('unavailable', 'NOT_A_NODE', message, {
      hint: 'Use the address that the node listens on with --listen-api.',
    })
  }
  return (
    decodeError(body) ??
    new QuiverError('unavailable', 'NOT_A_NODE', `the answer was status ${response.statusCode}`, {
      hint: 'Check QUIVER_HOST: something else than a node answers there.',
    })
  )
}

/** The proxy names itself in what it refuses. */
function isOfProxy(body: unknown): boolean {
  return (
    typeof body === 'object' && body !== null && 'component' in body && body.component === 'proxy'
  )
}

/** An error as it travels, back in its own type; `undefined` when it is not one. */
export function decodeError(body: unknown): QuiverError | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { code, reason, message, hint, requestId } = { ...emptyError, ...body }
  if (!isCode(code) || typeof reason !== 'string' || typeof message !== 'string') return undefined
  return new QuiverError(code, reason, message, {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof requestId === 'string' ? { details: { requestId } } : {}),
  })
}

const emptyError: Readonly<Record<string, unknown>> = {}

function isCode(text: unknown): text is Code {
  return typeof text === 'string' && text in CODES
}
