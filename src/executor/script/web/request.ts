/** `Request` of the Fetch standard. Runs in the engine. */

import { Body } from './body.ts'
import { Headers } from './headers.ts'
import { URL } from './url.ts'

export class Request extends Body {
  readonly #method: string
  readonly #url: string
  readonly #headers: Headers

  constructor(input: unknown, init: { method?: unknown; headers?: unknown; body?: unknown } = {}) {
    const from = input instanceof Request ? input : undefined
    const own = init.body !== undefined
    const [content, type] = own ? Body.take(init.body) : [from ? Body.copy(from) : null, '']
    super(content)
    this.#method = Request.#normalise(init.method ?? from?.method ?? 'GET')
    // What came from outside is in its one form already.
    this.#url = from?.url ?? (init instanceof Head ? String(input) : new URL(input).href)
    this.#headers = new Headers(init.headers ?? from?.headers)
    if (content !== null && (this.#method === 'GET' || this.#method === 'HEAD') && own) {
      if (!(init instanceof Head)) throw new TypeError(`a ${this.#method} request has no body`)
    }
    if (type !== '' && !this.#headers.has('content-type')) this.#headers.set('content-type', type)
  }

  get method(): string {
    return this.#method
  }

  get url(): string {
    return this.#url
  }

  get headers(): Headers {
    return this.#headers
  }

  clone(): Request {
    return new Request(this)
  }

  get [Symbol.toStringTag](): string {
    return 'Request'
  }

  static #normalise(method: unknown): string {
    const text = String(method)
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(text)) throw new TypeError(`"${text}" is not a method`)
    const upper = text.toUpperCase()
    return ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'].includes(upper) ? upper : text
  }
}

/** `init` of a request that came from outside. */
export class Head {
  readonly method: string
  readonly headers: unknown
  readonly body: unknown

  constructor(method: string, headers: unknown, body: unknown) {
    this.method = method
    this.headers = headers
    this.body = body
  }
}
