/** Somebody in the chat room of `examples/node-chat`: a WebSocket, and what was heard on it, in order. */

import { on } from 'node:events'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'

const TEXT = 0x81
const CLOSE = 0x88
const LENGTH_MAX = 125

/** Speaks the little of RFC 6455 that short texts need: clients mask, servers do not. */
export class ChatGuest {
  readonly #socket: Duplex
  readonly #texts: AsyncGenerator<string>

  private constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket
    this.#texts = readTexts(socket, head)
  }

  static async join(port: number, host: string): Promise<ChatGuest> {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      headers: {
        host,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    })
    const { promise, resolve, reject } = Promise.withResolvers<ChatGuest>()
    outgoing.on('upgrade', (_response, socket, head) => resolve(new ChatGuest(socket, head)))
    outgoing.on('response', ({ statusCode }) => reject(new Error(`status ${statusCode}`)))
    outgoing.on('error', reject)
    outgoing.end()
    return await promise
  }

  /** The next text that anybody said. */
  async hear(): Promise<string> {
    const { value, done } = await this.#texts.next()
    if (done === true) throw new Error('the room was closed')
    return value
  }

  say(text: string): void {
    this.#send(TEXT, Buffer.from(text))
  }

  leave(): void {
    this.#send(CLOSE, Buffer.alloc(0))
  }

  #send(opcode: number, payload: Buffer): void {
    if (payload.length > LENGTH_MAX) throw new RangeError('only short texts')
    // A mask of zeros changes nothing, and is a mask.
    const head = Buffer.from([opcode, 0x80 | payload.length, 0, 0, 0, 0])
    this.#socket.write(Buffer.concat([head, payload]))
  }
}

async function* readTexts(socket: Duplex, head: Buffer): AsyncGenerator<string> {
  let rest = head
  const chunks = on(socket, 'data', { close: ['end', 'close'] })
  for (;;) {
    const length = rest.length < 2 ? undefined : (rest[1] ?? 0)
    if (length !== undefined && rest.length >= 2 + length) {
      if (rest[0] === CLOSE) return
      const text = String(rest.subarray(2, 2 + length))
      rest = rest.subarray(2 + length)
      yield text
      continue
    }
    const { value, done } = await chunks.next()
    if (done === true) return
    rest = Buffer.concat([rest, ...value])
  }
}
