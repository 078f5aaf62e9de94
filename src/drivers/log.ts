/**
 * Reads the log of an instance: the records that ainit writes (docs/internals/ainit.md, "Log file"), joined into lines.
 *
 * Records carry time and stream; a line may span several of them. What a crash left unfinished at the end is skipped.
 */

import { watch } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf } from '../core/error.ts'

export interface LogLine {
  /** Milliseconds since the epoch: when its first byte was written. */
  readonly atMs: number
  readonly stream: 'stdout' | 'stderr' | 'quiver'
  /** Without its line feed; invalid UTF-8 is replaced. At most 16 KiB: longer lines are cut into several. */
  readonly text: string
}

const STREAMS: readonly LogLine['stream'][] = ['stdout', 'stderr', 'quiver']
const HEADER_BYTES = 13
const RECORD_BYTES_MAX = 65_536
const LINE_BYTES_MAX = 16_384
const READ_BYTES = 256 * 1024
const NEWLINE = 0x0a

/**
 * Everything that is kept, oldest first. A line without its line feed is the last of its stream.
 *
 * @param folder  holds `log` and `log.1`; when it is gone there are no lines
 */
export async function* readLog(folder: string): AsyncGenerator<LogLine> {
  const assembler = new LineAssembler()
  for (const name of ['log.1', 'log']) {
    await using tail = await openTail(path.join(folder, name))
    if (tail !== undefined) for await (const chunk of tail.read()) yield* assembler.push(chunk)
    assembler.cut()
  }
  yield* assembler.flush()
}

/**
 * As `readLog`, then goes on with what is written, until `signal` aborts or the folder goes. Rotation is followed; what
 * two rotations in a row removed before it was read is lost.
 */
export async function* followLog(folder: string, signal: AbortSignal): AsyncGenerator<LogLine> {
  using changes = new FolderChanges(folder, signal)
  const assembler = new LineAssembler()
  await using old = await openTail(path.join(folder, 'log.1'))
  if (old !== undefined) for await (const chunk of old.read()) yield* assembler.push(chunk)
  assembler.cut()
  let current: Tail | undefined
  try {
    for (;;) {
      current ??= await openTail(path.join(folder, 'log'))
      if (current !== undefined) {
        for await (const chunk of current.read()) yield* assembler.push(chunk)
        // Renamed meanwhile: the rest of it first, then its successor.
        if (!(await current.isAt(path.join(folder, 'log')))) {
          for await (const chunk of current.read()) yield* assembler.push(chunk)
          assembler.cut()
          await current[Symbol.asyncDispose]()
          current = undefined
          if (!signal.aborted) continue
        }
      }
      if (signal.aborted || changes.isGone) break
      await changes.next()
    }
    yield* assembler.flush()
  } finally {
    await current?.[Symbol.asyncDispose]()
  }
}

/** A file read to its end, again and again. */
class Tail implements AsyncDisposable {
  readonly #handle: FileHandle
  readonly #inode: number
  #position = 0

  constructor(handle: FileHandle, inode: number) {
    this.#handle = handle
    this.#inode = inode
  }

  async *read(): AsyncGenerator<Buffer> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      const { bytesRead } = await this.#handle.read(buffer, 0, READ_BYTES, this.#position)
      if (bytesRead === 0) return
      this.#position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  /** Whether the path still leads to this file. */
  async isAt(file: string): Promise<boolean> {
    await using other = await openTail(file)
    return other === undefined || other.#inode === this.#inode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

async function openTail(file: string): Promise<Tail | undefined> {
  try {
    const handle = await open(file, 'r')
    const { ino } = await handle.stat()
    return new Tail(handle, ino)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Wakes up when anything in a folder changes; changes while nobody waits are remembered. */
class FolderChanges implements Disposable {
  readonly #watcher: ReturnType<typeof watch> | undefined
  #hasChanged = false
  #wake: () => void = () => {}
  isGone = false

  constructor(folder: string, signal: AbortSignal) {
    signal.addEventListener('abort', () => this.#change(), { once: true })
    try {
      this.#watcher = watch(folder, () => this.#change())
      this.#watcher.on('error', () => this.#end())
    } catch {
      this.isGone = true
    }
  }

  async next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    if (!this.#hasChanged && !this.isGone) await promise
    this.#hasChanged = false
  }

  [Symbol.dispose](): void {
    this.#watcher?.close()
  }

  #end(): void {
    this.isGone = true
    this.#wake()
  }

  #change(): void {
    this.#hasChanged = true
    this.#wake()
  }
}

interface Partial {
  atMs: number
  bytes: Buffer
}

/** Bytes of a log file in, lines out. */
class LineAssembler {
  #pending: Buffer = Buffer.alloc(0)
  readonly #partials = new Map<LogLine['stream'], Partial>()

  /** The file ends here; an unfinished record will not be finished in the next one. */
  cut(): void {
    this.#pending = Buffer.alloc(0)
  }

  *push(chunk: Buffer): Generator<LogLine> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    let at = 0
    while (this.#pending.length - at >= HEADER_BYTES) {
      const length = this.#pending.readUInt32LE(at + 9)
      const stream = STREAMS[this.#pending.readUInt8(at + 8) - 1]
      if (length > RECORD_BYTES_MAX || stream === undefined) {
        // Not a record: nothing after it can be told apart either.
        at = this.#pending.length
        break
      }
      if (this.#pending.length - at < HEADER_BYTES + length) break
      const atMs = Number(this.#pending.readBigUInt64LE(at) / 1_000_000n)
      const body = this.#pending.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
      yield* this.#lines(stream, atMs, body)
      at += HEADER_BYTES + length
    }
    this.#pending = this.#pending.subarray(at)
  }

  /** Lines without an end. */
  *flush(): Generator<LogLine> {
    for (const [stream, { atMs, bytes }] of this.#partials) yield buildLine(stream, atMs, bytes)
    this.#partials.clear()
  }

  *#lines(stream: LogLine['stream'], atMs: number, body: Buffer): Generator<LogLine> {
    const partial = this.#partials.get(stream)
    let bytes = partial === undefined ? body : Buffer.concat([partial.bytes, body])
    let sinceMs = partial?.atMs ?? atMs
    for (;;) {
      const end = bytes.indexOf(NEWLINE)
      const isTooLong = (end === -1 ? bytes.length : end) > LINE_BYTES_MAX
      if (end === -1 && !isTooLong) break
      const cutAt = isTooLong ? LINE_BYTES_MAX : end
      yield buildLine(stream, sinceMs, bytes.subarray(0, cutAt))
      bytes = bytes.subarray(isTooLong ? cutAt : cutAt + 1)
      sinceMs = atMs
    }
    if (bytes.length === 0) this.#partials.delete(stream)
    else this.#partials.set(stream, { atMs: sinceMs, bytes })
  }
}

function buildLine(stream: LogLine['stream'], atMs: number, bytes: Buffer): LogLine {
  const text = bytes.toString('utf8')
  return { atMs, stream, text: text.endsWith('\r') ? text.slice(0, -1) : text }
}
