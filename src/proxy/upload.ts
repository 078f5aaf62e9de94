/** The body of a request on its way to the instance: with back-pressure, counted, and bounded where the task says so. */

import type { IncomingMessage } from 'node:http'

import type { UpstreamConnection } from './upstream/connection.ts'

/** How the end of a request's body is told. */
export type BodyKind = 'none' | 'length' | 'chunked'

const REPEATABLE = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])

/** Whether it may be sent twice (RFC 9110, section 9.2.2), and still can be. */
export function isRepeatable(request: IncomingMessage): boolean {
  return bodyKind(request) === 'none' && REPEATABLE.has(request.method ?? '')
}

export function bodyKind(request: IncomingMessage): BodyKind {
  const { headers } = request
  if (headers['transfer-encoding'] !== undefined) return 'chunked'
  return Number(headers['content-length'] ?? 0) > 0 ? 'length' : 'none'
}

export interface UploadHandler {
  /** Something moved. */
  onProgress(): void
  /** More came than `bytesMax`. It has not been sent on. */
  onTooLarge(): void
}

export class Upload {
  bytes = 0
  readonly #request: IncomingMessage
  readonly #bytesMax: number | null
  readonly #handler: UploadHandler
  #connection: UpstreamConnection | null
  #isEnded = false

  /** Begins to send at once. */
  constructor(
    request: IncomingMessage,
    connection: UpstreamConnection,
    bytesMax: number | null,
    handler: UploadHandler,
  ) {
    this.#request = request
    this.#connection = connection
    this.#bytesMax = bytesMax
    this.#handler = handler
    request.on('data', this.#onData)
    request.once('end', this.#onEnd)
  }

  /** The client is expected to send more, and nothing holds it back. */
  get isStalled(): boolean {
    return !this.#isEnded && !this.#request.isPaused()
  }

  /** The instance took what was written. */
  drain(): void {
    this.#request.resume()
  }

  /** The instance wants no more: what is left of the body is read and forgotten. */
  stop(): void {
    this.#connection = null
    this.#request.resume()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#connection === null) return
    this.bytes += chunk.length
    if (this.#bytesMax !== null && this.bytes > this.#bytesMax) {
      this.#connection = null
      this.#handler.onTooLarge()
      return
    }
    this.#handler.onProgress()
    if (!this.#connection.write(chunk)) this.#request.pause()
  }

  readonly #onEnd = (): void => {
    this.#isEnded = true
    this.#connection?.end(this.#request.rawTrailers)
  }
}
