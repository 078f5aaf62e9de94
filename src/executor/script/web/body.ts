/** What `Request` and `Response` have in common: a body that is read once. Runs in the engine. */

import { textOf } from './convert.ts'
import type { Host } from './host.ts'
import { URLSearchParams } from './url-search-params.ts'

declare const host: Host

/** What `request.body` is: bytes for one reader, as a stream with one chunk. */
export class BodyStream {
  readonly #read: () => Promise<Uint8Array>

  constructor(read: () => Promise<Uint8Array>) {
    this.#read = read
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const bytes = await this.#read()
    if (bytes.length > 0) yield bytes
  }

  static read(stream: BodyStream): Promise<Uint8Array> {
    return stream.#read()
  }
}

export class Body {
  #content: string | Uint8Array | BodyStream | null
  #isUsed = false

  /** @param content  as `Body.take` returns it */
  constructor(content: string | Uint8Array | BodyStream | null) {
    this.#content = content
  }

  get bodyUsed(): boolean {
    return this.#isUsed
  }

  get body(): BodyStream | null {
    return this.#content === null ? null : new BodyStream(() => this.bytes())
  }

  async text(): Promise<string> {
    const content = await this.#use()
    return typeof content === 'string' ? content : (host.decode(content, 'utf-8', '') ?? '')
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text())
  }

  async bytes(): Promise<Uint8Array> {
    const content = await this.#use()
    return typeof content === 'string' ? host.encode(content) : content
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    const bytes = await this.bytes()
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  }

  /** The same content for a second reader. */
  static copy(body: Body): string | Uint8Array | null {
    if (body.#isUsed) throw new TypeError('the body has been read already')
    const content = body.#content
    if (content instanceof BodyStream) throw new TypeError('a stream cannot be read twice')
    return typeof content === 'string' || content === null ? content : content.slice()
  }

  /** Without waiting, where that is possible; undefined: it comes from a stream. */
  static now(body: Body): string | Uint8Array | undefined {
    const content = body.#content
    if (content instanceof BodyStream) return undefined
    if (body.#isUsed) throw new TypeError('the body has been read already')
    body.#isUsed = content !== null
    return content ?? ''
  }

  /** What scripts give as a body, as a body keeps it, and its type unless they say another. */
  static take(given: unknown): [content: string | Uint8Array | BodyStream | null, type: string] {
    if (given === null || given === undefined) return [null, '']
    if (given instanceof BodyStream) return [given, '']
    if (given instanceof ArrayBuffer) return [new Uint8Array(given.slice(0)), '']
    if (ArrayBuffer.isView(given)) {
      const { buffer, byteOffset, byteLength } = given
      return [new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength)), '']
    }
    if (given instanceof URLSearchParams) {
      return [given.toString(), 'application/x-www-form-urlencoded;charset=UTF-8']
    }
    return [textOf(given), 'text/plain;charset=UTF-8']
  }

  async #use(): Promise<string | Uint8Array> {
    if (this.#isUsed) throw new TypeError('the body has been read already')
    const content = this.#content
    this.#isUsed = content !== null
    return content instanceof BodyStream ? await BodyStream.read(content) : (content ?? '')
  }
}
