/** The client's end of `exec`, `attach` and `run`: three streams and an exit status over one upgraded connection. */

import { Readable, Writable } from 'node:stream'

import { decodeExit, decodeJson, encodeBytes, encodeSignal } from '../api/stdio.ts'
import { QuiverError } from '../core/error.ts'
import { FRAME, FrameDecoder, encodeFrame, encodeResize } from '../core/frames.ts'
import type { Frame } from '../core/frames.ts'

import { decodeError } from './transport.ts'
import type { Upgraded } from './transport.ts'

/** Disposing it hangs up. */
export class ClientSession implements Disposable {
  readonly #socket: Upgraded['socket']
  readonly #decoder = new FrameDecoder()
  readonly #opened = Promise.withResolvers<string>()
  readonly #status = Promise.withResolvers<number>()
  #isFinished = false
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable

  constructor({ socket, head }: Upgraded, first: Buffer) {
    this.#socket = socket
    // Whoever cares awaits them; a session that is given up must not bring the process down.
    this.#opened.promise.catch(() => {})
    this.#status.promise.catch(() => {})
    // Each resumes unless the other is full. A stream's own length still counts what is just being read from it.
    this.stdout = new Readable({
      read: () => void (isFull(this.stderr) || socket.resume()),
    })
    this.stderr = new Readable({
      read: () => void (isFull(this.stdout) || socket.resume()),
    })
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#writeInput(chunk, done),
      final: (done) => void socket.write(encodeFrame(FRAME.STDIN_EOF), () => done()),
    })
    this.stdin.on('error', () => {})
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#lose())
    socket.once('end', () => this.#lose())
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.write(first)
    if (head.length > 0) this.#receive(head)
  }

  /** The instance it is in. @throws QuiverError what the node answered instead */
  get opened(): Promise<string> {
    return this.#opened.promise
  }

  /** Status 0–255; 128 + n for signal n. @throws QuiverError `unavailable/SESSION_LOST`, or what the node says */
  get status(): Promise<number> {
    return this.#status.promise
  }

  resize(rows: number, columns: number): void {
    if (this.#socket.writable) this.#socket.write(encodeResize(rows, columns))
  }

  signal(signal: number): void {
    if (this.#socket.writable) this.#socket.write(encodeSignal(signal))
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #writeInput(chunk: Buffer, done: () => void): void {
    if (!this.#socket.writable) return done()
    const frames = encodeBytes(FRAME.STDIN, chunk)
    for (const frame of frames.slice(0, -1)) this.#socket.write(frame)
    this.#socket.write(frames.at(-1) ?? '', () => done())
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame)
    } catch (error) {
      this.#fail(QuiverError.from(error))
      this.#socket.destroy()
    }
  }

  #take({ type, payload }: Frame): void {
    if (type === FRAME.EVENT) this.#opened.resolve(instanceOf(payload))
    if (type === FRAME.STDOUT && !this.stdout.push(payload)) this.#socket.pause()
    if (type === FRAME.STDERR && !this.stderr.push(payload)) this.#socket.pause()
    if (type === FRAME.EXIT) this.#end(decodeExit(payload))
    if (type === FRAME.ERROR) this.#fail(decodeError(decodeJson(payload)) ?? lost())
  }

  #end(status: number): void {
    this.#status.resolve(status)
    this.#finish()
  }

  #fail(error: QuiverError): void {
    this.#opened.reject(error)
    this.#status.reject(error)
    this.#finish()
  }

  #lose(): void {
    this.#fail(lost())
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.stdout.push(null)
    this.stderr.push(null)
    this.#socket.end()
  }
}

function isFull(stream: Readable): boolean {
  return stream.readableLength >= stream.readableHighWaterMark
}

function instanceOf(payload: Buffer): string {
  const value = decodeJson(payload)
  const hasName = typeof value === 'object' && value !== null && 'instance' in value
  return hasName ? String(value.instance) : ''
}

function lost(): QuiverError {
  return new QuiverError('unavailable', 'SESSION_LOST', 'the connection to the process was lost', {
    hint: 'The process may still run: see "quiver ps".',
  })
}
