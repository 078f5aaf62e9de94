/**
 * Speaks ainit's side of the stream socket (docs/internals/ainit.md), for tests of what is on the other side:
 * `node stream-server.ts SOCKET`. Prints the port of a TCP server that answers in capitals, then a line per answer.
 */

import { openSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { constants } from 'node:os'

import {
  acceptSeqpacket,
  close,
  listenSeqpacket,
  receive,
  send,
  watchReadable,
} from '../../src/fds/fds.ts'
import type { Message, Watch } from '../../src/fds/fds.ts'

/** Not connected to, but answered in ways that an ainit never should. */
const WITHOUT_DESCRIPTOR = 1
const TWO_DESCRIPTORS = 2
const TWICE = 3
const A_FILE = 4
const SHORT = 5

const file = openSync(import.meta.filename, 'r')
const peers = new Set<Peer>()

/** One connection; answers wait here, with their descriptors open, while the other side reads slowly. */
class Peer {
  readonly #fd: number
  readonly #watch: Watch
  readonly #answers: {
    readonly bytes: Buffer
    readonly fds: readonly number[]
    sent: () => void
  }[] = []

  constructor(fd: number) {
    this.#fd = fd
    this.#watch = watchReadable(fd, () => this.#read())
  }

  #read(): void {
    const message = receive(this.#fd, 8)
    if (message === undefined) return
    if (message !== 'end') return answer(this, message)
    this.#watch[Symbol.dispose]()
    close(this.#fd)
  }

  send(bytes: Buffer, fds: readonly number[], sent = (): void => {}): void {
    this.#answers.push({ bytes, fds, sent })
    if (this.#answers.length === 1) this.#flush()
  }

  #flush(): void {
    for (let next = this.#answers[0]; next !== undefined; next = this.#answers[0]) {
      if (!send(this.#fd, next.bytes, next.fds))
        return this.#watch.onceWritable(() => this.#flush())
      this.#answers.shift()
      next.sent()
      process.stdout.write('answered\n')
    }
  }
}

function answer(peer: Peer, { bytes }: Message): void {
  const id = bytes.readUInt32LE(0)
  const port = bytes.readUInt16LE(4)
  if (port === WITHOUT_DESCRIPTOR) return peer.send(reply(id, 0), [])
  if (port === TWO_DESCRIPTORS) return peer.send(reply(id, 0), [0, 0])
  if (port === A_FILE) return peer.send(reply(id, 0), [file])
  if (port === SHORT) return peer.send(Buffer.from('?'), [0])
  if (port === TWICE) {
    peer.send(reply(id, constants.errno.EMFILE), [0])
    return peer.send(reply(id, 0), [0])
  }
  const socket = connect(port, '127.0.0.1')
  socket.on('connect', () => {
    peer.send(reply(id, 0), [descriptorOf(socket)], () => socket.destroy())
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    peer.send(reply(id, -(error.errno ?? -1)), [])
  })
}

function reply(id: number, status: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(id, 0)
  bytes.writeUInt16LE(status, 4)
  return bytes
}

/** Node.js has no public way to the descriptor of a socket. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle === 'object' && handle !== null && 'fd' in handle) return Number(handle.fd)
  throw new Error('this Node.js keeps the descriptor elsewhere')
}

const server = createServer((socket) => {
  socket.on('data', (data) => socket.end(data.toString().toUpperCase()))
  socket.on('error', () => socket.destroy())
})
const listener = listenSeqpacket(process.argv[2] ?? '', 0o600)
watchReadable(listener, () => {
  const peer = acceptSeqpacket(listener)
  if (peer !== undefined) peers.add(new Peer(peer))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
})
