/**
 * Bytes of a log file in, lines out: the format of docs/internals/ainit.md, "Log file". No files here.
 *
 * The bytes after a record's header were written by the task and may look like anything, also like records: they are
 * only ever read from the beginning of a file, header by header.
 */

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
const NEWLINE = 0x0a

interface UnfinishedLine {
  readonly atMs: number
  readonly bytes: Buffer
}

export class LineAssembler {
  #pending: Buffer = Buffer.alloc(0)
  #isBroken = false
  readonly #unfinished = new Map<LogLine['stream'], UnfinishedLine>()

  /** The file ends here; an unfinished record will not be finished in the next one, an unfinished line may be. */
  cut(): void {
    this.#pending = Buffer.alloc(0)
    this.#isBroken = false
  }

  *push(chunk: Buffer): Generator<LogLine, void, undefined> {
    if (this.#isBroken) return
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUInt32LE(at + 9)
      const stream = STREAMS[bytes.readUInt8(at + 8) - 1]
      if (length > RECORD_BYTES_MAX || stream === undefined) {
        // Not a record: nothing after it can be told apart either.
        this.#isBroken = true
        return
      }
      const end = at + HEADER_BYTES + length
      if (bytes.length < end) break
      const atMs = Number(bytes.readBigUInt64LE(at) / 1_000_000n)
      yield* this.#split(stream, atMs, bytes.subarray(at + HEADER_BYTES, end))
      at = end
    }
    this.#pending = bytes.subarray(at)
  }

  /** Lines that have no end. */
  *flush(): Generator<LogLine, void, undefined> {
    for (const [stream, { atMs, bytes }] of this.#unfinished) yield buildLine(stream, atMs, bytes)
    this.#unfinished.clear()
  }

  *#split(
    stream: LogLine['stream'],
    atMs: number,
    body: Buffer,
  ): Generator<LogLine, void, undefined> {
    const before = this.#unfinished.get(stream)
    let bytes = before === undefined ? body : Buffer.concat([before.bytes, body])
    let sinceMs = before?.atMs ?? atMs
    for (;;) {
      const end = bytes.indexOf(NEWLINE)
      const length = end === -1 ? bytes.length : end
      if (length > LINE_BYTES_MAX) {
        const cutAt = characterBefore(bytes, LINE_BYTES_MAX)
        yield buildLine(stream, sinceMs, bytes.subarray(0, cutAt))
        bytes = bytes.subarray(cutAt)
      } else if (end === -1) {
        break
      } else {
        yield buildLine(stream, sinceMs, bytes.subarray(0, end))
        bytes = bytes.subarray(end + 1)
      }
      sinceMs = atMs
    }
    if (bytes.length === 0) this.#unfinished.delete(stream)
    // A copy, so that a few bytes do not keep the whole chunk.
    else this.#unfinished.set(stream, { atMs: sinceMs, bytes: Buffer.from(bytes) })
  }
}

/** The largest index up to `at` where a UTF-8 character begins; `at` itself when what is there is not UTF-8. */
function characterBefore(bytes: Buffer, at: number): number {
  for (let index = at; index > at - 4; index--) {
    if ((bytes.readUInt8(index) & 0xc0) !== 0x80) return index
  }
  return at
}

function buildLine(stream: LogLine['stream'], atMs: number, bytes: Buffer): LogLine {
  const text = bytes.toString('utf8')
  return { atMs, stream, text: text.endsWith('\r') ? text.slice(0, -1) : text }
}
