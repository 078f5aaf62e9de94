/** Outgoing requests of `wasi:http`: bodies go through as they come, in both directions, by whoever made the world. */

import { Failure } from '../component/function-codec.ts'
import type { StreamedRequest, StreamedResponse, StreamTimeouts } from '../streaming.ts'

import { type BodySource, IncomingBody, OutgoingBody } from './http-body.ts'
import { errorCodeOf, HttpBroken, type Tagged } from './http-errors.ts'
import { Fields } from './http-fields.ts'
import { RequestBody } from './http-request-body.ts'
import { Pollable } from './io.ts'
import type { World } from './world.ts'

/** Rejects with a `QuiverError`. */
export type SendRequest = (
  url: string,
  request: Omit<StreamedRequest, 'signal'>,
) => Promise<StreamedResponse>

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
const FORBIDDEN_IN_PATH = /[\s\\#]/
const AUTHORITY = /^[\w.~%!$&'()*+,;=:[\]-]+$/

export class OutgoingRequest {
  readonly headers: Fields
  readonly body: RequestBody
  method: Tagged = { tag: 'get' }
  scheme: Tagged | undefined
  authority: string | undefined
  pathWithQuery: string | undefined
  #isBodyTaken = false

  constructor(headers: Fields) {
    this.headers = headers.freeze()
    this.body = new RequestBody(this.headers.raw)
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
  send(world: World, options: RequestOptions | undefined): FutureIncomingResponse {
    const { send } = world
    if (send === undefined) throw new Failure({ tag: 'HTTP-request-denied' })
    const url = this.#url()
    const { method, body } = this
    if (!this.#isBodyTaken) body.finish([])
    const free = takeSlot(world)
    const release = (): void => {
      free()
      body.close()
    }
    const answer = send(url, {
      method: method.tag === 'other' ? String(method.val) : method.tag.toUpperCase(),
      rawHeaders: this.headers.raw,
      body,
      timeouts: (options ?? new RequestOptions()).timeouts,
    })
    return new FutureIncomingResponse(answer, release)
  }

  #url(): string {
    const { scheme, authority, pathWithQuery = '/' } = this
    if (authority === undefined) throw new Failure({ tag: 'HTTP-request-URI-invalid' })
    const name = scheme?.tag === 'other' ? String(scheme.val) : (scheme?.tag ?? 'HTTPS')
    const path = pathWithQuery.startsWith('/') ? pathWithQuery : `/${pathWithQuery}`
    return `${name.toLowerCase()}://${authority}${path}`
  }
}

/** An exchange that is not over counts as an open file. */
function takeSlot(world: World): () => void {
  if (world.filesLeft === 0) throw new Failure({ tag: 'connection-limit-reached' })
  world.filesLeft--
  let isTaken = true
  return () => {
    if (isTaken) world.filesLeft++
    isTaken = false
  }
}

export class FutureIncomingResponse {
  readonly #settled: Promise<void>
  #result: Tagged | undefined
  #isTaken = false
  #isDropped = false

  /** @param release  once the exchange is over */
  constructor(answer: Promise<StreamedResponse>, release: () => void) {
    this.#settled = answer.then(
      (response) => {
        const val = new IncomingResponse(response, release)
        this.#result = { tag: 'ok', val }
        if (this.#isDropped) val.drop()
      },
      (thrown: unknown) => {
        release()
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

  drop(): void {
    if (this.#isTaken) return
    this.#isDropped = true
    const { val } = this.#result ?? {}
    if (val instanceof IncomingResponse) val.drop()
  }
}

export class IncomingResponse {
  readonly status: number
  readonly headers: Fields
  readonly #body: AnswerSource
  #isConsumed = false

  constructor({ status, rawHeaders, body }: StreamedResponse, release: () => void) {
    this.status = status
    this.headers = new Fields(rawHeaders, true)
    this.#body = new AnswerSource(body, release)
  }

  consume(): IncomingBody {
    if (this.#isConsumed) throw new Failure()
    this.#isConsumed = true
    return new IncomingBody(this.#body)
  }

  drop(): void {
    if (!this.#isConsumed) this.#body.close()
  }
}

/** What breaks is an error of the stream, and not the end of the guest. */
class AnswerSource implements BodySource {
  readonly #body: StreamedResponse['body']
  readonly #release: () => void

  constructor(body: StreamedResponse['body'], release: () => void) {
    this.#body = body
    this.#release = release
  }

  get trailers(): readonly string[] {
    return this.#body.trailers
  }

  async read(bytesMax: number): Promise<Uint8Array | null> {
    try {
      const piece = await this.#body.read(bytesMax)
      if (piece === null) this.#release()
      return piece
    } catch (thrown) {
      this.#release()
      throw new HttpBroken(errorCodeOf(thrown), thrown)
    }
  }

  close(): void {
    this.#body.close()
    this.#release()
  }
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000n

export class RequestOptions {
  /** In nanoseconds, by the names of the options. Nobody waits longer than the platform does. */
  readonly durations = new Map<string, bigint>()

  get timeouts(): StreamTimeouts {
    return {
      connectMs: this.#milliseconds('connect-timeout'),
      firstByteMs: this.#milliseconds('first-byte-timeout'),
      betweenBytesMs: this.#milliseconds('between-bytes-timeout'),
    }
  }

  #milliseconds(name: string): number | null {
    const duration = this.durations.get(name)
    return duration === undefined
      ? null
      : Math.max(1, Number(duration / NANOSECONDS_PER_MILLISECOND))
  }
}
