/**
 * The typed client of the control API: one method for all calls of the table, and four for what is not a value:
 * lines, uploads, downloads and sessions. Light on purpose: it is part of the start of every command.
 */

import type { Readable } from 'node:stream'
import { json, text } from 'node:stream/consumers'

import { ENDPOINTS } from '../api/endpoints.ts'
import type { Endpoint, EndpointId, Input, Output } from '../api/endpoints.ts'
import { UPGRADE, encodeJson } from '../api/stdio.ts'
import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { FRAME } from '../core/frames.ts'

import { ClientSession } from './session.ts'
import { Transport, decodeError } from './transport.ts'
import type { TransportOptions } from './transport.ts'

type IdOfKind<K extends Endpoint['kind']> = {
  [I in EndpointId]: (typeof ENDPOINTS)[I]['kind'] extends K ? I : never
}[EndpointId]

/** What a session begins with: another process, or the program itself. */
export type SessionRequest =
  | {
      readonly kind: 'exec'
      readonly args: readonly string[]
      readonly env: Readonly<Record<string, string>>
      readonly terminal: { readonly rows: number; readonly columns: number } | null
      readonly isLent: boolean
    }
  | { readonly kind: 'attach'; readonly isPrimary: boolean }

/** What commands use; tests give a fake or a client of a real server. */
export interface Client extends Disposable {
  /** @throws QuiverError as the node answered, or `unavailable/NODE_UNREACHABLE` */
  call<I extends IdOfKind<'json' | 'text'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): Promise<Output<I>>

  /** Ends when the node ends it, or without an error when `signal` aborts. */
  lines<I extends IdOfKind<'lines'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): AsyncGenerator<Output<I>>

  upload(digest: Digest, content: Readable, signal: AbortSignal): Promise<void>

  /** Bytes as they come; whoever reads them sees an error when the node ends before they do. */
  download<I extends IdOfKind<'download'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): Promise<Readable>

  openSession(target: string, request: SessionRequest, signal: AbortSignal): Promise<ClientSession>
}

export function openClient(options: TransportOptions): Client {
  return new HttpClient(new Transport(options))
}

class HttpClient implements Client {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async call<I extends IdOfKind<'json' | 'text'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): Promise<Output<I>> {
    const endpoint: Endpoint = ENDPOINTS[id]
    const { path, body } = buildRequest(endpoint, input)
    const headers = body === undefined ? {} : JSON_HEADERS
    const exchange = body === undefined ? { path, headers } : { path, headers, body }
    const response = await this.#transport.exchange(
      { method: endpoint.method, ...exchange },
      signal,
    )
    const output: unknown = await (endpoint.kind === 'text' ? text(response) : json(response))
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table says so, the server's tests check it
    return output as Output<I>
  }

  async *lines<I extends IdOfKind<'lines'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): AsyncGenerator<Output<I>> {
    const { path } = buildRequest(ENDPOINTS[id], input)
    const response = await this.#transport.exchange({ method: 'GET', path }, signal)
    try {
      for await (const line of splitLines(response)) {
        const value: unknown = JSON.parse(line)
        const error = errorOf(value)
        if (error !== undefined) throw error
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as in `call`
        yield value as Output<I>
      }
      if (!response.complete && !signal.aborted) throw connectionLost()
    } catch (error) {
      if (signal.aborted) return
      throw error instanceof QuiverError ? error : connectionLost(error)
    } finally {
      response.destroy()
    }
  }

  async upload(digest: Digest, content: Readable, signal: AbortSignal): Promise<void> {
    const { method } = ENDPOINTS.putFile
    const { path } = buildRequest(ENDPOINTS.putFile, { params: { digest } })
    const headers = { 'content-type': 'application/octet-stream' }
    const response = await this.#transport.exchange(
      { method, path, headers, body: content },
      signal,
    )
    response.resume()
  }

  async download<I extends IdOfKind<'download'>>(
    id: I,
    input: Input<I>,
    signal: AbortSignal,
  ): Promise<Readable> {
    const { path } = buildRequest(ENDPOINTS[id], input)
    return await this.#transport.exchange({ method: 'GET', path }, signal)
  }

  async openSession(
    target: string,
    request: SessionRequest,
    signal: AbortSignal,
  ): Promise<ClientSession> {
    const { kind, ...rest } = request
    const first = encodeJson(kind === 'exec' ? FRAME.EXEC : FRAME.ATTACH, rest)
    const { path } = buildRequest(ENDPOINTS.session, { params: { target } })
    const session = new ClientSession(await this.#transport.upgrade(path, UPGRADE, signal), first)
    try {
      await session.opened
      return session
    } catch (error) {
      session[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' }

interface LooseInput {
  readonly params?: object
  readonly query?: object
  readonly body?: unknown
}

/** Fills the parameters into the path, appends the query, and makes the body text. */
function buildRequest(
  endpoint: Endpoint,
  { params, query, body }: LooseInput,
): { path: string; body: string | undefined } {
  const values = new Map(Object.entries(params ?? {}).map(([key, value]) => [key, String(value)]))
  const path = endpoint.path.replace(/:(\w+)/g, (_, key: string) =>
    encodeURIComponent(values.get(key) ?? ''),
  )
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) search.set(key, String(value))
  }
  const suffix = search.size === 0 ? '' : `?${search.toString()}`
  return { path: path + suffix, body: body === undefined ? undefined : JSON.stringify(body) }
}

// Lines end at line feeds only: `node:readline` would also end them at U+2028, which JSON may hold.
async function* splitLines(input: Readable): AsyncGenerator<string> {
  let rest = ''
  input.setEncoding('utf8')
  for await (const chunk of input) {
    const [first = '', ...others] = String(chunk).split('\n')
    rest += first
    for (const next of others) {
      if (rest !== '') yield rest
      rest = next
    }
  }
  if (rest !== '') yield rest
}

/** The last line of a sequence that failed: `{"error": {…}}`. */
function errorOf(value: unknown): QuiverError | undefined {
  if (typeof value !== 'object' || value === null || !('error' in value)) return undefined
  return decodeError(value.error)
}

function connectionLost(cause?: unknown): QuiverError {
  return new QuiverError('unavailable', 'CONNECTION_LOST', 'the node ended the connection', {
    hint: 'It may have been restarted: try again.',
    cause,
  })
}
