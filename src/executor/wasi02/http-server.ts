/** The side of `wasi:http/types` that a request comes in at: the request, and the response on its way to the exchange. */

import { QuiverError } from '../../core/error.ts'
import { Failure } from '../component/function-codec.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'

import { type BodySink, IncomingBody, OutgoingBody } from './http-body.ts'
import type { Tagged } from './http-errors.ts'
import { Fields } from './http-fields.ts'

/** What is written before there is an exchange to write to, or in one go, is held. */
const HELD_BYTES_MAX = 256 * 1024
const METHODS: ReadonlySet<string> = new Set([
  'get',
  'head',
  'post',
  'put',
  'delete',
  'connect',
  'options',
  'trace',
  'patch',
])

export function methodOf(name: string): Tagged {
  const lower = name.toLowerCase()
  return METHODS.has(lower) && name === name.toUpperCase()
    ? { tag: lower }
    : { tag: 'other', val: name }
}

export class IncomingRequest {
  readonly #exchange: Exchange
  #isConsumed = false

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  get method(): Tagged {
    return methodOf(this.#exchange.head.method)
  }

  get pathWithQuery(): string {
    return this.#exchange.head.target
  }

  get scheme(): Tagged {
    const isSecure = this.#exchange.head.header('x-forwarded-proto') === 'https'
    return { tag: isSecure ? 'HTTPS' : 'HTTP' }
  }

  get authority(): string | undefined {
    return this.#exchange.head.header('host')
  }

  get headers(): Fields {
    return new Fields(this.#exchange.head.rawHeaders, true)
  }

  consume(): IncomingBody {
    if (this.#isConsumed) throw new Failure()
    this.#isConsumed = true
    return new IncomingBody(this.#exchange.body)
  }
}

export class OutgoingResponse {
  readonly headers: Fields
  readonly body: ResponseBody
  status = 200
  #isBodyTaken = false

  constructor(headers: Fields, bytesMax: number) {
    this.headers = headers.freeze()
    this.body = new ResponseBody(this.headers.raw, bytesMax)
  }

  setStatus(status: number): void {
    if (status < 200 || status > 599) throw new Failure()
    this.status = status
  }

  takeBody(): OutgoingBody {
    if (this.#isBodyTaken) throw new Failure()
    this.#isBodyTaken = true
    return new OutgoingBody(this.body)
  }

  /** The guest answers with it. A body that nobody has taken is empty. */
  send(exchange: Exchange): void {
    this.body.attach(exchange, this.status)
    if (!this.#isBodyTaken) this.body.finish([])
  }
}

/** A body that leaves in one go, with its length, if it is complete before the guest waits; else as it comes. */
export class ResponseBody implements BodySink {
  readonly #headers: RawHeaders
  readonly #declared: number | null
  readonly #bytesMax: number
  #exchange: Exchange | null = null
  #status = 200
  #held: Uint8Array[] = []
  #heldBytes = 0
  #written = 0
  #trailers: RawHeaders = []
  #phase: 'open' | 'finished' | 'abandoned' = 'open'
  #attached: PromiseWithResolvers<void> | undefined

  constructor(headers: RawHeaders, bytesMax: number) {
    const [length, others] = splitLength(headers)
    this.#headers = others
    this.#declared = length
    this.#bytesMax = bytesMax
  }

  attach(exchange: Exchange, status: number): void {
    this.#exchange = exchange
    this.#status = status
    this.#attached?.resolve()
    if (this.#phase === 'open') setImmediate(this.#flush)
    else this.#complete(exchange)
  }

  write(bytes: Uint8Array): void | Promise<void> {
    this.#written += bytes.length
    if (this.#written > this.#bytesMax) {
      const message = `the answer is longer than ${this.#bytesMax} bytes`
      throw new QuiverError('resource_exhausted', 'OUTPUT_TOO_LARGE', message, {
        hint: 'Raise limits.output in quiver.toml if that is what it should do.',
      })
    }
    if (this.#exchange?.hasBegun === true) return this.#exchange.write(bytes)
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes <= HELD_BYTES_MAX) {
      if (this.#exchange !== null && this.#held.length === 1) setImmediate(this.#flush)
      return undefined
    }
    return this.#exchange === null ? this.#flushLater() : this.#begin(this.#exchange)
  }

  finish(trailers: RawHeaders): void {
    if (this.#phase !== 'open') return
    this.#phase = 'finished'
    this.#trailers = trailers
    const declared = this.#declared
    const isShort = declared !== null && declared !== this.#written
    if (isShort && this.#exchange?.head.method !== 'HEAD') {
      this.#phase = 'abandoned'
      this.#exchange?.break()
      throw new Failure({ tag: 'HTTP-response-body-size', val: BigInt(this.#written) })
    }
    if (this.#exchange !== null) this.#complete(this.#exchange)
  }

  /** One that was never begun is empty: engines leave it so when they answer with a status alone. */
  abandon(): void {
    if (this.#phase !== 'open') return
    const isEmpty = this.#written === 0 && (this.#declared ?? 0) === 0
    this.#phase = isEmpty ? 'finished' : 'abandoned'
    if (this.#exchange !== null) this.#complete(this.#exchange)
  }

  #complete(exchange: Exchange): void {
    if (this.#phase === 'abandoned') {
      exchange.break()
      return
    }
    const isWhole = !exchange.hasBegun && this.#trailers.length === 0
    if (isWhole && exchange.head.method !== 'HEAD') {
      exchange.respond(this.#status, this.#headers, Buffer.concat(this.#held, this.#heldBytes))
      this.#held = []
      return
    }
    if (!exchange.hasBegun) void this.#begin(exchange)
    exchange.end(this.#trailers)
  }

  #begin(exchange: Exchange): void | Promise<void> {
    const hasLength = this.#declared !== null && this.#trailers.length === 0
    const length = hasLength ? ['Content-Length', String(this.#declared)] : []
    exchange.begin(this.#status, [...this.#headers, ...length])
    const held = Buffer.concat(this.#held, this.#heldBytes)
    this.#held = []
    this.#heldBytes = 0
    return exchange.write(held)
  }

  readonly #flush = (): void => {
    const exchange = this.#exchange
    if (exchange === null || exchange.hasBegun || this.#phase !== 'open') return
    void this.#begin(exchange)
  }

  async #flushLater(): Promise<void> {
    this.#attached ??= Promise.withResolvers<void>()
    await this.#attached.promise
    if (this.#exchange !== null && !this.#exchange.hasBegun) await this.#begin(this.#exchange)
  }
}

/** @throws Failure unless the length is a number, and the same wherever it is given */
function splitLength(headers: RawHeaders): readonly [length: number | null, others: RawHeaders] {
  const others: string[] = []
  let length: number | null = null
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = headers.slice(index, index + 2)
    if (name.toLowerCase() !== 'content-length') others.push(name, value)
    else if (/^\d{1,15}$/.test(value)) length = Number(value)
  }
  return [length, others]
}

/** What an incoming request is answered through. */
export class ResponseOutparam {
  readonly #exchange: Exchange
  #isSet = false

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  get isSet(): boolean {
    return this.#isSet
  }

  set({ tag, val }: Tagged): void {
    this.#isSet = true
    if (tag === 'ok' && val instanceof OutgoingResponse) {
      val.send(this.#exchange)
      return
    }
    throw new QuiverError(
      'unavailable',
      'RESPONSE_FAILED',
      `the guest answered with ${nameOf(val)}`,
    )
  }
}

function nameOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('tag' in error)) return 'an error'
  const detail = 'val' in error && typeof error.val === 'string' ? `: ${error.val}` : ''
  return `the error ${String(error.tag)}${detail}`
}
