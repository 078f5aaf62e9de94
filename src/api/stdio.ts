/**
 * What `exec`, `attach` and `run` speak after the upgrade to `quiver-stdio`: frames as on the control socket of an
 * instance (`core/frames.ts`), with JSON where both ends are ours.
 *
 *     client:  EXEC `ExecRequest` | ATTACH `{ "isPrimary": boolean }`, then STDIN, STDIN_EOF, RESIZE, KILL_SESSION
 *     node:    EVENT `{ "instance": id }` once it is open, STDOUT, STDERR, at last EXIT (`i32`) or ERROR (an error body)
 */

import { QuiverError } from '../core/error.ts'
import { FRAME, FRAME_PAYLOAD_BYTES_MAX, encodeFrame, encodeU32 } from '../core/frames.ts'

export const UPGRADE = 'quiver-stdio'

/** Bytes of any length as frames of one type; none for no bytes. */
export function encodeBytes(type: number, bytes: Uint8Array): readonly Buffer[] {
  const count = Math.ceil(bytes.length / FRAME_PAYLOAD_BYTES_MAX)
  return Array.from({ length: count }, (_, index) => {
    const at = index * FRAME_PAYLOAD_BYTES_MAX
    return encodeFrame(type, bytes.subarray(at, at + FRAME_PAYLOAD_BYTES_MAX))
  })
}

/** @throws QuiverError `invalid_argument/FRAME_INVALID` when it is too long for one frame */
export function encodeJson(type: number, value: unknown): Buffer {
  const text = JSON.stringify(value)
  if (Buffer.byteLength(text) <= FRAME_PAYLOAD_BYTES_MAX) return encodeFrame(type, text)
  throw new QuiverError('invalid_argument', 'FRAME_INVALID', 'the command is too long', {
    hint: `Arguments and environment together hold at most ${FRAME_PAYLOAD_BYTES_MAX} bytes.`,
  })
}

export function encodeExit(status: number): Buffer {
  const payload = Buffer.allocUnsafe(4)
  payload.writeInt32LE(status, 0)
  return encodeFrame(FRAME.EXIT, payload)
}

export function encodeSignal(signal: number): Buffer {
  return encodeFrame(FRAME.KILL_SESSION, encodeU32(signal))
}

/** @throws QuiverError `invalid_argument/FRAME_INVALID`, as all below */
export function decodeResize(payload: Buffer): { rows: number; columns: number } {
  checkLength(payload, 'RESIZE')
  return { rows: payload.readUInt16LE(0), columns: payload.readUInt16LE(2) }
}

export function decodeSignal(payload: Buffer): number {
  checkLength(payload, 'KILL_SESSION')
  return payload.readUInt32LE(0)
}

export function decodeExit(payload: Buffer): number {
  checkLength(payload, 'EXIT')
  return payload.readInt32LE(0)
}

export function decodeJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch (cause) {
    throw new QuiverError('invalid_argument', 'FRAME_INVALID', 'a frame holds no JSON', { cause })
  }
}

function checkLength(payload: Buffer, name: string): void {
  if (payload.length === 4) return
  throw new QuiverError('invalid_argument', 'FRAME_INVALID', `a ${name} of the wrong length`)
}
