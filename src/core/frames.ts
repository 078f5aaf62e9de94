/**
 * The frames that carry events and stdio, on an instance's control socket and over the API's stdio upgrade.
 *
 * `u32` little-endian payload length, `u8` type, payload (docs/internals/ainit.md). Nothing here knows sockets.
 */

import { QuiverError } from './error.ts'

export const FRAME_PAYLOAD_BYTES_MAX = 65_536
const HEADER_BYTES = 5

export const FRAME = {
  WATCH: 1,
  SIGNAL: 2,
  EXEC: 3,
  ATTACH: 4,
  STDIN: 5,
  STDIN_EOF: 6,
  RESIZE: 7,
  START: 8,
  KILL_SESSION: 9,
  FREEZE: 10,
  EVENT: 64,
  STDOUT: 65,
  STDERR: 66,
  EXIT: 67,
  ERROR: 68,
} as const

export interface Frame {
  readonly type: number
  readonly payload: Buffer
}

/** @param payload  at most 65,536 bytes */
export function encodeFrame(type: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
  frame.writeUInt32LE(bytes.length, 0)
  frame.writeUInt8(type, 4)
  frame.set(bytes, HEADER_BYTES)
  return frame
}

export function encodeU32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(value, 0)
  return bytes
}

export function encodeResize(rows: number, columns: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt16LE(rows, 0)
  bytes.writeUInt16LE(columns, 2)
  return encodeFrame(FRAME.RESIZE, bytes)
}

/** Records of `key=value`, each ended by NUL, and the empty record that ends them. */
export function encodeRecords(records: readonly (readonly [key: string, value: string])[]): Buffer {
  for (const [key, value] of records) {
    if (!value.includes('\0')) continue
    throw new QuiverError('invalid_argument', 'VALUE_INVALID', `${key} holds a NUL character`, {
      hint: 'Arguments and environment values are C strings: leave NUL out.',
    })
  }
  return Buffer.from(`${records.map(([key, value]) => `${key}=${value}\0`).join('')}\0`)
}

/** Cuts a byte stream into frames. */
export class FrameDecoder {
  #pending: Buffer = Buffer.alloc(0)

  /** @throws QuiverError `invalid_argument/FRAME_INVALID` for a length that no peer may send */
  push(chunk: Buffer): readonly Frame[] {
    const frames: Frame[] = []
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    while (bytes.length >= HEADER_BYTES) {
      const length = bytes.readUInt32LE(0)
      if (length > FRAME_PAYLOAD_BYTES_MAX) {
        throw new QuiverError('invalid_argument', 'FRAME_INVALID', `a frame of ${length} bytes`)
      }
      if (bytes.length < HEADER_BYTES + length) break
      const payload = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length)
      frames.push({ type: bytes.readUInt8(4), payload })
      bytes = bytes.subarray(HEADER_BYTES + length)
    }
    this.#pending = bytes
    return frames
  }
}
