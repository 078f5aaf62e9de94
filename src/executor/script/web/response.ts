/** `Response` of the Fetch standard. Runs in the engine. */

import { Body } from './body.ts'
import { textOf } from './convert.ts'
import { Headers } from './headers.ts'
import { URL } from './url.ts'

export class Response extends Body {
  readonly #status: number
  readonly #statusText: string
  readonly #headers: Headers

  constructor(
    body?: unknown,
    init: { status?: unknown; statusText?: unknown; headers?: unknown } = {},
  ) {
    const [content, type] = Body.take(body)
    super(content)
    const status = init.status === undefined ? 200 : Number(init.status)
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`${String(init.status)} is not a status from 200 to 599`)
    }
    if (content !== null && [204, 205, 304].includes(status)) {
      throw new TypeError(`an answer with status ${status} has no body`)
    }
    this.#status = status
    this.#statusText = textOf(init.statusText ?? '')
    this.#headers = new Headers(init.headers)
    if (type !== '' && !this.#headers.has('content-type')) this.#headers.set('content-type', type)
  }

  get status(): number {
    return this.#status
  }

  get statusText(): string {
    return this.#statusText
  }

  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299
  }

  get headers(): Headers {
    return this.#headers
  }

  clone(): Response {
    const { status, statusText, headers } = this
    return new Response(Body.copy(this), { status, statusText, headers })
  }

  static json(value: unknown, init: { status?: unknown; headers?: unknown } = {}): Response {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError('the value cannot be written as JSON')
    const headers = new Headers(init.headers)
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    return new Response(text, { ...init, headers })
  }

  static redirect(url: unknown, status: unknown = 302): Response {
    if (![301, 302, 303, 307, 308].includes(Number(status))) {
      throw new RangeError(`${String(status)} is not the status of a redirection`)
    }
    return new Response(null, { status, headers: { location: new URL(url).href } })
  }

  get [Symbol.toStringTag](): string {
    return 'Response'
  }
}
