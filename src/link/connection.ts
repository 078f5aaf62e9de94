/**
 * One connection of the link: JSON objects, one per line, both ways, over a stream socket.
 *
 * It frames, bounds and decodes. It neither connects (client.ts) nor accepts (server.ts), and it knows no message but
 * that each has a `type`: what a message means is decided by the parser of whoever receives it.
 */

import type { Socket } from 'node:net'

import { QuiverError } from '../core/error.ts'

/** A message as it came off the wire: an object with a `type`, nothing else is known of it. */
export type RawMessage = Readonly<Record<string, unknown>> & { readonly type: string }

/**
 * Turns a raw message into one that the receiver knows.
 *
 * @returns undefined for a type that it does not know: the other side may be newer, so it is ignored
 * @throws QuiverError when the type is known and the rest is not what it should be; the connection is then broken
 */
export type MessageParser<In> = (raw: RawMessage) => In | undefined

export interface LinkConnectionOptions {
  /** Longest line accepted, in bytes without the newline. */
  readonly lineBytesMax: number
  /** Called for each line, in order. What it throws breaks the connection. */
  readonly onMessage: (raw: RawMessage) => void
  /** Called once. `problem` is undefined when the other side just closed. */
  readonly onClose: (problem: QuiverError | undefined) => void
}

/** A reader that falls this far behind is broken off: it connects again and is told the whole truth. */
const UNSENT_BYTES_MAX = 128 * 1024 ** 2

const NEWLINE = 0x0a

export class LinkConnection {
  readonly #socket: Socket
  readonly #options: LinkConnectionOptions
  /** The beginning of a line whose end has not come yet. */
  readonly #partial: Buffer[] = []
  #partialBytes = 0
  #problem: QuiverError | undefined

  /** @param socket  connected or connecting; this object owns it from now on */
  constructor(socket: Socket, options: LinkConnectionOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => {
      this.#problem ??= new QuiverError('unavailable', 'LINK_BROKEN', error.message, {
        cause: error,
      })
    })
    // A half-closed link is of no use: both sides always have something to say.
    socket.on('end', () => socket.destroy())
    socket.once('close', () => options.onClose(this.#problem))
  }

  /** Queues one message. Never blocks; after the end it does nothing. */
  send(message: object): void {
    if (this.#socket.destroyed) return
    this.#socket.write(`${JSON.stringify(message)}\n`)
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) {
      this.close(new QuiverError('resource_exhausted', 'LINK_SLOW', 'the other side reads nothing'))
    }
  }

  /** Ends the connection at once; what is queued is lost. `onClose` follows. */
  close(problem?: QuiverError): void {
    this.#problem ??= problem
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    let start = 0
    while (!this.#socket.destroyed) {
      const end = chunk.indexOf(NEWLINE, start)
      const bytes = this.#partialBytes + (end < 0 ? chunk.length : end) - start
      if (bytes > this.#options.lineBytesMax) {
        const limit = `a line is longer than ${this.#options.lineBytesMax} bytes`
        this.close(new QuiverError('invalid_argument', 'LINK_MALFORMED', limit))
        return
      }
      if (end < 0) {
        this.#keep(chunk.subarray(start))
        return
      }
      this.#keep(chunk.subarray(start, end))
      start = end + 1
      this.#deliver(this.#takeLine())
    }
  }

  #keep(part: Buffer): void {
    this.#partial.push(part)
    this.#partialBytes += part.length
  }

  #takeLine(): string {
    const line = Buffer.concat(this.#partial.splice(0), this.#partialBytes)
    this.#partialBytes = 0
    return line.toString()
  }

  #deliver(line: string): void {
    try {
      this.#options.onMessage(parseLine(line))
    } catch (thrown) {
      // Only what the other side sent wrongly is its fault; anything else is our bug and must be seen.
      if (!(thrown instanceof QuiverError)) throw thrown
      this.close(thrown)
    }
  }
}

/** @throws QuiverError `invalid_argument/LINK_MALFORMED` */
function parseLine(line: string): RawMessage {
  const value = parseJson(line)
  if (isRawMessage(value)) return value
  throw new QuiverError('invalid_argument', 'LINK_MALFORMED', 'a line is not an object with a type')
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (thrown) {
    throw new QuiverError('invalid_argument', 'LINK_MALFORMED', 'a line is not JSON', {
      cause: thrown,
    })
  }
}

function isRawMessage(value: unknown): value is RawMessage {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  )
}
