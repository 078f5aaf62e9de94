/** Host functions that move bytes between a guest and what it has open, and its position there. */

import { FD_FLAG, RIGHT } from './abi.ts'
import type { FileDescriptor } from './descriptors.ts'
import { ERRNO, fail } from './errno.ts'
import type { Vectors } from './guest-memory.ts'
import { assertRight, type Abi, type Guest } from './guest.ts'
import type { Reader } from './streams.ts'

/** The most that one call moves through a stream; guests call again, as they must anyway. */
const STREAM_BYTES_MAX = 1_048_576

export function fdRead(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  result: number,
): number | Promise<number> {
  const descriptor = guest.descriptors.get(fd)
  if (descriptor.kind === 'directory') return ERRNO.ISDIR
  assertRight(descriptor.base, RIGHT.FD_READ)
  const into = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  if (descriptor.kind === 'listener') return ERRNO.NOTCONN
  if (descriptor.kind !== 'file') {
    const { reader, flags } = descriptor
    if (reader === undefined) return ERRNO.NOTCAPABLE
    return readStream(guest, { reader, flags, into, result })
  }
  const bytes = readFile(guest, descriptor, into, descriptor.position)
  descriptor.position += bytes
  guest.memory.setU32(result, bytes)
  return ERRNO.SUCCESS
}

export function fdPread(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  offset: bigint,
  result: number,
): number {
  const file = guest.file(fd, RIGHT.FD_READ | RIGHT.FD_SEEK)
  const into = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  guest.memory.setU32(result, readFile(guest, file, into, positionOf(offset)))
  return ERRNO.SUCCESS
}

export function fdWrite(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  result: number,
): number | Promise<number> {
  const descriptor = guest.descriptors.get(fd)
  if (descriptor.kind === 'directory') return ERRNO.ISDIR
  assertRight(descriptor.base, RIGHT.FD_WRITE)
  const from = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  if (descriptor.kind === 'file') {
    const { written, end } = writeFile(guest, descriptor, from, descriptor.position)
    descriptor.position = end
    guest.memory.setU32(result, written)
    return ERRNO.SUCCESS
  }
  const sink = descriptor.kind === 'stream' ? descriptor.sink : undefined
  const target = descriptor.kind === 'connection' ? descriptor.connection : sink
  return target === undefined ? ERRNO.NOTCAPABLE : writeStream(guest, target, from, result)
}

export function fdPwrite(
  { guest }: Abi,
  fd: number,
  vectors: number,
  count: number,
  offset: bigint,
  result: number,
): number {
  const file = guest.file(fd, RIGHT.FD_WRITE | RIGHT.FD_SEEK)
  const from = guest.memory.vectors(vectors, count)
  guest.memory.check(result, 4)
  guest.memory.setU32(result, writeFile(guest, file, from, positionOf(offset)).written)
  return ERRNO.SUCCESS
}

export function fdSeek(
  { guest, version }: Abi,
  fd: number,
  offset: bigint,
  whence: number,
  result: number,
): number {
  const origin = version.whence[whence] ?? fail(ERRNO.INVAL)
  const file = guest.file(fd, 0)
  const isTell = origin === 'current' && offset === 0n
  if (!isTell || (file.base & RIGHT.FD_TELL) === 0) assertRight(file.base, RIGHT.FD_SEEK)
  guest.memory.check(result, 8)
  const position = originOf(file, origin) + offset
  if (position < 0n || position > BigInt(Number.MAX_SAFE_INTEGER)) fail(ERRNO.INVAL)
  file.position = Number(position)
  guest.memory.setU64(result, position)
  return ERRNO.SUCCESS
}

export function fdTell({ guest }: Abi, fd: number, result: number): number {
  const file = guest.file(fd, RIGHT.FD_TELL)
  guest.memory.setU64(result, BigInt(file.position))
  return ERRNO.SUCCESS
}

interface StreamRead {
  readonly reader: Reader
  readonly flags: number
  readonly into: Vectors
  readonly result: number
}

/** Reads what there is, waiting for the first byte unless the descriptor is non-blocking. */
export function readStream(guest: Guest, request: StreamRead): number | Promise<number> {
  const { reader, into } = request
  if ((request.flags & FD_FLAG.NONBLOCK) !== 0) {
    reader.readAhead()
    if (reader.available === undefined) return ERRNO.AGAIN
  }
  const read = reader.read(Math.min(into.bytes, STREAM_BYTES_MAX))
  return read instanceof Promise
    ? deliverLater(guest, read, request)
    : deliver(guest, read, request)
}

/** Hands a copy of the bytes to a sink, and waits for it if it asks for that. */
export function writeStream(
  guest: Guest,
  sink: { write(bytes: Uint8Array): void | Promise<void> },
  from: Vectors,
  result: number,
): number | Promise<number> {
  const bytes = guest.memory.gather(from, STREAM_BYTES_MAX)
  const pending = bytes.byteLength === 0 ? undefined : sink.write(bytes)
  if (pending instanceof Promise) return reportLater(guest, pending, bytes.byteLength, result)
  guest.memory.setU32(result, bytes.byteLength)
  return ERRNO.SUCCESS
}

function deliver(guest: Guest, bytes: Uint8Array, { into, result }: StreamRead): number {
  guest.memory.scatter(into, bytes)
  guest.memory.setU32(result, bytes.byteLength)
  return ERRNO.SUCCESS
}

async function deliverLater(
  guest: Guest,
  read: Promise<Uint8Array>,
  request: StreamRead,
): Promise<number> {
  return deliver(guest, await read, request)
}

async function reportLater(
  guest: Guest,
  pending: Promise<void>,
  bytes: number,
  result: number,
): Promise<number> {
  await pending
  guest.memory.setU32(result, bytes)
  return ERRNO.SUCCESS
}

function readFile(guest: Guest, { file }: FileDescriptor, into: Vectors, position: number): number {
  let total = 0
  for (const piece of into.pieces) {
    const bytes = file.read(guest.memory.range(piece.pointer, piece.bytes), position + total)
    total += bytes
    if (bytes < piece.bytes) break
  }
  return total
}

function writeFile(
  guest: Guest,
  { file }: FileDescriptor,
  from: Vectors,
  position: number,
): { readonly written: number; readonly end: number } {
  let [written, end] = [0, position]
  for (const piece of from.pieces) {
    const bytes = guest.memory.range(piece.pointer, piece.bytes)
    try {
      const done = file.write(bytes, end)
      written += done.written
      end = done.end
      if (done.written < piece.bytes) break
    } catch (thrown) {
      // What was written before is reported; the next call meets the failure again.
      if (written === 0) throw thrown
      break
    }
  }
  return { written, end }
}

function originOf({ file, position }: FileDescriptor, origin: 'set' | 'current' | 'end'): bigint {
  if (origin === 'set') return 0n
  return origin === 'current' ? BigInt(position) : file.stat().bytes
}

/** Throws `INVAL` for a position that no file can have. */
function positionOf(offset: bigint): number {
  const position = BigInt.asUintN(64, offset)
  return position <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(position) : fail(ERRNO.INVAL)
}
