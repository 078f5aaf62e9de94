/** Outgoing requests of `wasi:http`: written whole, sent by whoever made the world, answered whole. */

import { QuiverError, type Code } from '../../core/error.ts'
import { Failure } from '../component/function-codec.ts'
import type { IncomingResponse as Answer, OutgoingRequest as Question } from '../guest-host.ts'
import type { RawHeaders } from '../http/exchange.ts'

import { type BodySink, IncomingBody, OutgoingBody } from './http-body.ts'
import { Fields } from './http-fields.ts'
import type { Tagged } from './http-server.ts'
import { Pollable } from './io.ts'
import type { World } from './world.ts'

/** Rejects with a `QuiverError`, as `GuestHost.fetch`. */
export type SendRequest = (url: string, request: Question) => Promise<Answer>

const BODY_BYTES_MAX = 64 * 1024 * 1024
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
const FORBIDDEN_IN_PATH = /[\s\\#]/
const AUTHORITY = /^[\w.~%!$&'()*+,;=:[\]-]+$/

const ERRORS: { readonly [code in Code]?: Tagged } = {
  permission_denied: { tag: 'HTTP-request-denied' },
  not_found: { tag: 'destination-not-found' },
  invalid_argument: { tag: 'HTTP-request-URI-invalid' },
  deadline_exceeded: { tag: 'connection-timeout' },
  resource_exhausted: { tag: 'HTTP-response-body-size' },
  unavailable: { tag: 'destination-unavailable' },
}

export class OutgoingRequest {
  readonly headers: Fields
  readonly body = new RequestBody()
  method: Tagged = { tag: 'get' }
  scheme: Tagged | undefined
  authority: string | undefined
  pathWithQuery: string | undefined
  #isBodyTaken = false

  constructor(headers: Fields) {
    this.headers = headers.freeze()
  }

  takeBody(): OutgoingBody {
    if (this.#isBodyTaken) throw new Failure()
    this.#isBodyTaken = true
    return new OutgoingBody(this.body)
  }

  /** @throws Failure without error code */
  setMethod(method: Tagged): void {
    if (method.tag === 'other' && !TOKEN.test(String(method.val))) throw new Failure()
    this.method = method
  }

  setScheme(scheme: Tagged | undefined): void {
    if (scheme?.tag === 'other' && !/^[a-z][a-z\d+.-]*$/i.test(String(scheme.val))) {
      throw new Failure()
    }
    this.scheme = scheme
  }

  setAuthority(authority: string | undefined): void {
    if (authority !== undefined && !AUTHORITY.test(authority)) throw new Failure()
    this.authority = authority
  }

  setPathWithQuery(path: string | undefined): void {
    if (path !== undefined && FORBIDDEN_IN_PATH.test(path)) throw new Failure()
    this.pathWithQuery = path
  }

  /** @throws Failure with an error code */
  send(world: World): FutureIncomingResponse {
    const { send } = world
    if (send === undefined) throw new Failure({ tag: 'HTTP-request-denied' })
    const url = this.#url()
    if (!this.#isBodyTaken) this.body.finish()
    return new FutureIncomingResponse(this.#send(send, url))
  }

  async #send(send: SendRequest, url: string): Promise<Answer> {
    const method =
      this.method.tag === 'other' ? String(this.method.val) : this.method.tag.toUpperCase()
    const body = await this.body.complete
    const rawHeaders = withoutLength(this.headers.raw)
    return await send(url, { method, rawHeaders, body, answerBytesMax: BODY_BYTES_MAX })
  }

  #url(): string {
    const { scheme, authority, pathWithQuery = '/' } = this
    if (authority === undefined) throw new Failure({ tag: 'HTTP-request-URI-invalid' })
    const name = scheme?.tag === 'other' ? String(scheme.val) : (scheme?.tag ?? 'HTTPS')
    const path = pathWithQuery.startsWith('/') ? pathWithQuery : `/${pathWithQuery}`
    return `${name.toLowerCase()}://${authority}${path}`
  }
}

function withoutLength(headers: RawHeaders): RawHeaders {
  const kept: string[] = []
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = headers.slice(index, index + 2)
    if (name.toLowerCase() !== 'content-length') kept.push(name, value)
  }
  return kept
}

class RequestBody implements BodySink {
  readonly #complete = Promise.withResolvers<Uint8Array>()
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  constructor() {
    // Nobody may be waiting for it.
    this.#complete.promise.catch(() => {})
  }

  get complete(): Promise<Uint8Array> {
    return this.#complete.promise
  }

  write(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    if (this.#bytes > BODY_BYTES_MAX) {
      const message = `a request body is longer than ${BODY_BYTES_MAX} bytes`
      throw new QuiverError('resource_exhausted', 'BUFFERS_TOO_LARGE', message)
    }
    this.#parts.push(bytes)
  }

  finish(): void {
    this.#complete.resolve(Buffer.concat(this.#parts, this.#bytes))
  }

  abandon(): void {
    const message = 'the body of the request was not finished'
    this.#complete.reject(new QuiverError('canceled', 'REQUEST_ABANDONED', message))
  }
}

export class FutureIncomingResponse {
  readonly #settled: Promise<void>
  #result: Tagged | undefined
  #isTaken = false

  constructor(answer: Promise<Answer>) {
    this.#settled = answer.then(
      (response) => {
        this.#result = { tag: 'ok', val: new IncomingResponse(response) }
      },
      (thrown: unknown) => {
        this.#result = { tag: 'err', val: errorCodeOf(thrown) }
      },
    )
  }

  subscribe(): Pollable {
    return new Pollable(
      () => this.#result !== undefined,
      () => this.#settled,
    )
  }

  get(): Tagged | undefined {
    if (this.#result === undefined) return undefined
    if (this.#isTaken) return { tag: 'err' }
    this.#isTaken = true
    return { tag: 'ok', val: this.#result }
  }
}

function errorCodeOf(thrown: unknown): Tagged {
  const error = QuiverError.from(thrown)
  return ERRORS[error.code] ?? { tag: 'internal-error', val: error.message }
}

export class IncomingResponse {
  readonly #answer: Answer
  #isConsumed = false

  constructor(answer: Answer) {
    this.#answer = answer
  }

  get status(): number {
    return this.#answer.status
  }

  get headers(): Fields {
    return new Fields(this.#answer.rawHeaders, true)
  }

  consume(): IncomingBody {
    if (this.#isConsumed) throw new Failure()
    this.#isConsumed = true
    let rest: Uint8Array | null = this.#answer.body
    const read = (): Uint8Array | null => {
      const taken = rest
      rest = null
      return taken === null || taken.length === 0 ? null : taken
    }
    return new IncomingBody({ read, trailers: [] })
  }
}

/** Waits no longer than the platform does, whatever the guest asks for. */
export class RequestOptions {
  readonly timeouts = new Map<string, bigint>()
}
