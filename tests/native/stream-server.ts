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
import type { Message } from '../../src/fds/fds.ts'

/** Not connected to, but answered in ways that an ainit never should. */
const WITHOUT_DESCRIPTOR = 1
const TWO_DESCRIPTORS = 2
const TWICE = 3
const A_FILE = 4
const SHORT = 5

const file = openSync(import.meta.filename, 'r')
const server = createServer((socket) => {
  socket.on('data', (data) => socket.end(data.toString().toUpperCase()))
  socket.on('error', () => socket.destroy())
})
const listener = listenSeqpacket(process.argv[2] ?? '', 0o600)
watchReadable(listener, () => {
  const peer = acceptSeqpacket(listener)
  if (peer !== undefined) serve(peer)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
})

function serve(peer: number): void {
  const watch = watchReadable(peer, () => {
    const message = receive(peer, 8)
    if (message === 'end') {
      watch[Symbol.dispose]()
      close(peer)
    } else if (message !== undefined) {
      answer(peer, message)
    }
  })
}

function answer(peer: number, { bytes }: Message): void {
  const id = bytes.readUInt32LE(0)
  const port = bytes.readUInt16LE(4)
  if (port === WITHOUT_DESCRIPTOR) return reply(peer, id, 0)
  if (port === TWO_DESCRIPTORS) return reply(peer, id, 0, [0, 0])
  if (port === A_FILE) return reply(peer, id, 0, [file])
  if (port === SHORT) return void send(peer, Buffer.from('?'), [0])
  if (port === TWICE) {
    reply(peer, id, constants.errno.EMFILE, [0])
    return reply(peer, id, 0, [0])
  }
  const socket = connect(port, '127.0.0.1')
  socket.on('connect', () => {
    reply(peer, id, 0, [descriptorOf(socket)])
    socket.destroy()
  })
  socket.on('error', (error: NodeJS.ErrnoException) => reply(peer, id, -(error.errno ?? -1)))
}

/** Node.js has no public way to the descriptor of a socket. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle === 'object' && handle !== null && 'fd' in handle) return Number(handle.fd)
  throw new Error('this Node.js keeps the descriptor elsewhere')
}

function reply(peer: number, id: number, status: number, fds: readonly number[] = []): void {
  const message = Buffer.alloc(8)
  message.writeUInt32LE(id, 0)
  message.writeUInt16LE(status, 4)
  if (!send(peer, message, fds)) throw new Error('the reader is too slow for this server')
  process.stdout.write('answered\n')
}
