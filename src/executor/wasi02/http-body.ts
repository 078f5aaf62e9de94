/** Bodies of `wasi:http/types`: those that come, and those that a guest writes. */

import { Failure } from '../component/function-codec.ts'
import type { RawHeaders } from '../http/exchange.ts'
import type { ByteSource } from '../wasi/streams.ts'

import { Fields } from './http-fields.ts'
import { InputStream, OutputStream, Pollable } from './io.ts'

/** Of a request or response that comes in. */
export interface BodySource extends ByteSource {
  /** Known once all of the body was read; empty until then. */
  readonly trailers: RawHeaders
  /** The guest wants no more of it. */
  close?(): void
}

/** Where a body goes that a guest writes. */
export interface BodySink {
  write(bytes: Uint8Array): void | Promise<void>
  /** All of it was written. @throws Failure with an error code when that cannot be */
  finish(trailers: RawHeaders): void
  /** The guest dropped it, or ended, before it was complete. */
  abandon(): void
}

export class IncomingBody {
  readonly source: BodySource
  #isTaken = false

  constructor(source: BodySource) {
    this.source = source
  }

  stream(): InputStream {
    if (this.#isTaken) throw new Failure()
    this.#isTaken = true
    return new InputStream({ read: (bytesMax) => this.source.read(bytesMax) })
  }

  drop(): void {
    this.source.close?.()
  }
}

/** There at once: who asks for trailers has read the body, or does not want it. */
export class FutureTrailers {
  readonly #source: BodySource
  #isTaken = false

  constructor({ source }: IncomingBody) {
    this.#source = source
  }

  subscribe(): Pollable {
    return new Pollable(
      () => true,
      () => Promise.resolve(),
    )
  }

  get(): unknown {
    if (this.#isTaken) return { tag: 'err' }
    this.#isTaken = true
    const { trailers } = this.#source
    const fields = trailers.length === 0 ? undefined : new Fields(trailers, true)
    return { tag: 'ok', val: { tag: 'ok', val: fields } }
  }

  drop(): void {
    this.#source.close?.()
  }
}

export class OutgoingBody {
  readonly #sink: BodySink
  #isTaken = false
  #isOver = false

  constructor(sink: BodySink) {
    this.#sink = sink
  }

  /** Once. */
  write(): OutputStream {
    if (this.#isTaken) throw new Failure()
    this.#isTaken = true
    return new OutputStream({ write: (bytes) => this.#write(bytes) })
  }

  finish(trailers: Fields | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink.finish(trailers?.raw ?? [])
  }

  drop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink.abandon()
  }

  #write(bytes: Uint8Array): void | Promise<void> {
    if (!this.#isOver) return this.#sink.write(bytes)
    throw new Failure({ tag: 'closed' })
  }
}
