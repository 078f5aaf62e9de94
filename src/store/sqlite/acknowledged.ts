/**
 * The newest revision that a caller was told is durable, in a small file beside the database.
 *
 * SQLite takes a damaged frame of its write-ahead log for the end of the log: acknowledged commits behind a flipped
 * bit would vanish without a word. This file notices. It is written after the fsync of the commit and never synced
 * itself, so it may lag behind the database after a power failure, but it is never ahead of it.
 */

import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'

const BYTES = 12

export function acknowledgedPath(path: string): string {
  return `${path}-acknowledged`
}

/** 0 when the file is missing or unreadable: it only ever adds certainty. */
export function readAcknowledged(path: string): number {
  let bytes: Buffer
  try {
    bytes = readFileSync(acknowledgedPath(path))
  } catch {
    return 0
  }
  if (bytes.length !== BYTES || bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8))) return 0
  return Number(bytes.readBigUInt64LE())
}

export class AcknowledgedFile implements Disposable {
  readonly #descriptor: number
  readonly #bytes = Buffer.alloc(BYTES)

  /** Creates the file if needed, at its full size, so that a full disk does not stop later writes. */
  constructor(path: string, revision: number) {
    this.#descriptor = openSync(acknowledgedPath(path), constants.O_RDWR | constants.O_CREAT, 0o600)
    this.write(revision)
  }

  /** Never throws: the commit it is about is durable whatever happens here. */
  write(revision: number): void {
    this.#bytes.writeBigUInt64LE(BigInt(revision))
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(0, 8)), 8)
    try {
      writeSync(this.#descriptor, this.#bytes, 0, BYTES, 0)
    } catch {
      // The file then names an older revision, which is true as well.
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}
