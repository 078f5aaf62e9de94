/** Writes the log of an instance that has no ainit, in the same form: docs/internals/ainit.md, "Log file". */

import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import path from 'node:path'

import type { LogLine } from './lines.ts'

const HEADER_BYTES = 13
const RECORD_BYTES_MAX = 65_536
const STREAM: Readonly<Record<LogLine['stream'], number>> = { stdout: 1, stderr: 2, quiver: 3 }

/** A log that cannot be written is poorer, and nothing else: a full disk must not end an instance. */
export class LogWriter implements Disposable {
  readonly #folder: string
  readonly #fileBytesMax: number
  #file: number | null = null
  #fileBytes = 0

  /**
   * @param folder  exists; gets `log` and `log.1`
   * @param bytesMax  of both together
   */
  constructor(folder: string, bytesMax: number) {
    this.#folder = folder
    this.#fileBytesMax = Math.floor(bytesMax / 2)
  }

  write(stream: LogLine['stream'], atMs: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += RECORD_BYTES_MAX) {
      const part = bytes.subarray(at, at + RECORD_BYTES_MAX)
      try {
        this.#append(stream, atMs, part)
      } catch {
        this[Symbol.dispose]()
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }

  #append(stream: LogLine['stream'], atMs: number, bytes: Uint8Array): void {
    const record = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
    record.writeBigUInt64LE(BigInt(Math.round(atMs * 1000)) * 1000n, 0)
    record.writeUInt8(STREAM[stream], 8)
    record.writeUInt32LE(bytes.length, 9)
    record.set(bytes, HEADER_BYTES)
    if (this.#fileBytes > 0 && this.#fileBytes + record.length > this.#fileBytesMax) this.#rotate()
    this.#file ??= this.#open()
    // One write for each record: a reader never finds half of one followed by another.
    this.#fileBytes += writeSync(this.#file, record)
  }

  #open(): number {
    const file = openSync(path.join(this.#folder, 'log'), 'a', 0o600)
    this.#fileBytes = fstatSync(file).size
    return file
  }

  #rotate(): void {
    this[Symbol.dispose]()
    renameSync(path.join(this.#folder, 'log'), path.join(this.#folder, 'log.1'))
    this.#fileBytes = 0
  }
}
