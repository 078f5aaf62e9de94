/** Host functions about sockets that the embedder handed over. */

import { FD_FLAG, FD_FLAGS_ALL, RIGHT, RIGHTS_CONNECTION } from './abi.ts'
import { ConnectionDescriptor } from './descriptors.ts'
import { ERRNO, fail } from './errno.ts'
import type { Vectors } from './guest-memory.ts'
import { assertRight, type Abi, type Guest } from './guest.ts'
import { readStream, writeStream } from './io-calls.ts'
import type { SocketConnection } from './sockets.ts'

const RECEIVE = { PEEK: 1, WAITALL: 2 } as const
const RECEIVE_ALL = 3
const SHUT = { READ: 1, WRITE: 2 } as const
const PEEK_BYTES_MAX = 65_536

export function sockAccept(
  { guest }: Abi,
  fd: number,
  flags: number,
  result: number,
): number | Promise<number> {
  const listener = guest.descriptors.get(fd)
  if (listener.kind === 'connection') return ERRNO.INVAL
  if (listener.kind !== 'listener') return ERRNO.NOTSOCK
  assertRight(listener.base, RIGHT.SOCK_ACCEPT)
  if (flags >>> 0 > FD_FLAGS_ALL) return ERRNO.INVAL
  guest.memory.check(result, 4)
  guest.descriptors.room()
  const waits = (listener.flags & FD_FLAG.NONBLOCK) === 0
  const accepted = listener.listener.accept(waits)
  const call = { rights: listener.inheriting, flags, result }
  return accepted instanceof Promise
    ? addLater(guest, accepted, call)
    : addConnection(guest, accepted, call)
}

export function sockRecv(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  flags: number,
  result: number,
  resultFlags: number,
): number | Promise<number> {
  const { reader, base, flags: fdFlags } = connectionOf(guest, fd)
  assertRight(base, RIGHT.FD_READ)
  if (flags >>> 0 > RECEIVE_ALL) return ERRNO.INVAL
  const into = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  guest.memory.setU16(resultFlags, 0)
  if ((flags & RECEIVE.PEEK) !== 0) {
    return deliverLater(guest, reader.peek(Math.min(into.bytes, PEEK_BYTES_MAX)), into, result)
  }
  if ((flags & RECEIVE.WAITALL) === 0) {
    return readStream(guest, { reader, flags: fdFlags, into, result })
  }
  return deliverLater(guest, readAll(reader, into.bytes), into, result)
}

export function sockSend(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  flags: number,
  result: number,
): number | Promise<number> {
  const { connection, base } = connectionOf(guest, fd)
  assertRight(base, RIGHT.FD_WRITE)
  if (flags !== 0) return ERRNO.INVAL
  const from = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  return writeStream(guest, connection, from, result)
}

export function sockShutdown({ guest }: Abi, fd: number, how: number): number {
  const { connection, base } = connectionOf(guest, fd)
  assertRight(base, RIGHT.SOCK_SHUTDOWN)
  if (how === 0 || how >>> 0 > (SHUT.READ | SHUT.WRITE)) return ERRNO.INVAL
  connection.shutdown({ read: (how & SHUT.READ) !== 0, write: (how & SHUT.WRITE) !== 0 })
  return ERRNO.SUCCESS
}

/** Throws `BADF`, `NOTSOCK`; `NOTCONN` for a listener. */
function connectionOf(guest: Guest, fd: number): ConnectionDescriptor {
  const descriptor = guest.descriptors.get(fd)
  if (descriptor.kind === 'listener') return fail(ERRNO.NOTCONN)
  return descriptor.kind === 'connection' ? descriptor : fail(ERRNO.NOTSOCK)
}

interface Accepting {
  readonly rights: number
  readonly flags: number
  readonly result: number
}

async function addLater(
  guest: Guest,
  accepted: Promise<SocketConnection | undefined>,
  call: Accepting,
): Promise<number> {
  return addConnection(guest, await accepted, call)
}

function addConnection(
  guest: Guest,
  connection: SocketConnection | undefined,
  { rights, flags, result }: Accepting,
): number {
  if (connection === undefined) return ERRNO.AGAIN
  const granted = RIGHTS_CONNECTION & rights
  const fd = guest.descriptors.add(new ConnectionDescriptor(connection, granted, flags))
  guest.memory.setU32(result, fd)
  return ERRNO.SUCCESS
}

async function deliverLater(
  guest: Guest,
  read: Promise<Uint8Array>,
  into: Vectors,
  result: number,
): Promise<number> {
  const bytes = await read
  guest.memory.scatter(into, bytes)
  guest.memory.setU32(result, bytes.byteLength)
  return ERRNO.SUCCESS
}

/** Waits for as many bytes as were asked for, or the end. Never more than the guest has memory for. */
async function readAll(reader: ConnectionDescriptor['reader'], bytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for (let left = bytes; left > 0;) {
    const chunk = await reader.read(left)
    if (chunk.byteLength === 0) break
    chunks.push(chunk)
    left -= chunk.byteLength
  }
  return Buffer.concat(chunks)
}
