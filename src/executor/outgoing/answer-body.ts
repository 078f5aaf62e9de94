/** The body of an answer, read when it is asked for: the connection is held back meanwhile, and ends with the body. */

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import type { IncomingPieces } from '../streaming.ts'

const NO_TRAILERS: readonly string[] = []

export class AnswerBody implements IncomingPieces {
  readonly #answer: IncomingMessage
  readonly #pieces: AsyncIterator<Buffer>
  readonly #connection: Duplex
  readonly #host: string
  readonly #pauseMsMax: number
  #isComplete = false

  constructor(answer: IncomingMessage, connection: Duplex, host: string, pauseMsMax: number) {
    // It may break while nobody reads; whoever reads then is told.
    answer.on('error', () => {})
    this.#answer = answer
    this.#pieces = answer[Symbol.asyncIterator]()
    this.#connection = connection
    this.#host = host
    this.#pauseMsMax = pauseMsMax
  }

  get trailers(): readonly string[] {
    return this.#isComplete ? this.#answer.rawTrailers : NO_TRAILERS
  }

  /** Whatever has come: streams cut it to what the guest takes. */
  async read(): Promise<Uint8Array | null> {
    const late = (): void => void this.#answer.destroy(timedOut(this.#host, this.#pauseMsMax))
    const timer = setTimeout(late, this.#pauseMsMax)
    try {
      const piece = await this.#pieces.next()
      if (piece.done !== true) return piece.value
      this.#isComplete = true
      this.close()
      return null
    } catch (thrown) {
      this.close()
      throw thrown instanceof QuiverError ? thrown : broke(this.#host, thrown)
    } finally {
      clearTimeout(timer)
    }
  }

  /** All of it. @throws QuiverError also `resource_exhausted/ANSWER_TOO_LARGE` */
  async readAll(bytesMax: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let total = 0
    for (let part = await this.read(); part !== null; part = await this.read()) {
      total += part.length
      if (total > bytesMax) throw tooLarge(this.#host, bytesMax)
      parts.push(part)
    }
    return concat(parts, total)
  }

  close(): void {
    this.#connection.destroy()
  }
}

/** With memory of its own: guests keep it, and `Buffer.concat` may share. */
function concat(parts: readonly Uint8Array[], total: number): Uint8Array {
  const whole = new Uint8Array(total)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function broke(host: string, cause: unknown): QuiverError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `${host} broke the connection: ${why}`
  return new QuiverError('unavailable', 'TARGET_BROKE', message, { cause })
}

export function timedOut(host: string, timeoutMs: number): QuiverError {
  const message = `${host} did not answer within ${timeoutMs} ms`
  return new QuiverError('deadline_exceeded', 'TARGET_TIMEOUT', message)
}

function tooLarge(host: string, bytesMax: number): QuiverError {
  const message = `the answer of ${host} is longer than the ${bytesMax} bytes that are left for it`
  return new QuiverError('resource_exhausted', 'ANSWER_TOO_LARGE', message, {
    hint: 'Free buffers that are no longer needed, or raise limits.body or limits.memory.',
  })
}
