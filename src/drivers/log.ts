/**
 * The log of an instance (docs/internals/ainit.md, "Log file"), read as lines. ainit writes it, or `LogWriter` where there is
 * no ainit.
 *
 * Records carry time and stream; a line may span several of them, and two files. What a crash left unfinished at the
 * end is skipped. To show lines on a terminal, see `neutralise` in core/terminal.ts: they say what the task wants.
 */

import path from 'node:path'

import {
  awaitFolder,
  FolderChanges,
  inodeAt,
  openLogFile,
  openLogFiles,
  type LogFile,
} from './log/files.ts'
import { LineAssembler, type LogLine } from './log/lines.ts'

export type { LogLine } from './log/lines.ts'
export { LogWriter } from './log/writer.ts'

export interface LogSelection {
  /** Only lines that began then or later, in milliseconds since the epoch. */
  readonly sinceMs?: number
  /** Only lines that contain this, or match it. */
  readonly grep?: string | RegExp
  /** Of the lines that are there already, only the last so many. */
  readonly tail?: number
}

/**
 * What is kept, oldest first. A line without its line feed is the last of its stream.
 *
 * @param folder  holds `log` and `log.1`; when it is gone there are no lines
 * @yields every selected line
 */
export async function* readLog(
  folder: string,
  selection: LogSelection = {},
): AsyncGenerator<LogLine, void, undefined> {
  const { older, newest } = await openLogFiles(folder)
  await using resources = new AsyncDisposableStack()
  resources.use(older)
  resources.use(newest)
  const assembler = new LineAssembler()
  const selector = new Selector(selection)
  for (const file of [older, newest]) {
    if (file !== undefined) yield* readRest(file, assembler, selector)
    assembler.cut()
  }
  yield* selector.select(assembler.flush())
  yield* selector.release()
}

/**
 * As `readLog`, then goes on with what is written, until `signal` aborts or the folder goes. Rotation is followed; what
 * two rotations in a row removed before it was read is lost.
 *
 * @yields every selected line, as soon as it is complete
 */
export async function* followLog(
  folder: string,
  signal: AbortSignal,
  selection: LogSelection = {},
): AsyncGenerator<LogLine, void, undefined> {
  // An instance that is being launched has its folder in a moment.
  await awaitFolder(folder, signal)
  using changes = new FolderChanges(folder, signal)
  const assembler = new LineAssembler()
  const selector = new Selector(selection)
  const file = path.join(folder, 'log')
  const { older, newest } = await openLogFiles(folder)
  await using current = new Current(older ?? newest)
  if (older !== undefined) {
    yield* readRest(older, assembler, selector)
    assembler.cut()
    await current.replace(newest)
  }
  for (;;) {
    if (current.file !== undefined) yield* readRest(current.file, assembler, selector)
    const inode = await inodeAt(file)
    if (inode !== undefined && inode !== current.file?.inode) {
      // Renamed meanwhile: what was written until then first, then its successor.
      if (current.file !== undefined) yield* readRest(current.file, assembler, selector)
      assembler.cut()
      await current.replace(await openLogFile(file))
      continue
    }
    yield* selector.release()
    const isGone = changes.isGone || (inode === undefined && (await inodeAt(folder)) === undefined)
    if (signal.aborted || isGone) break
    await changes.next()
  }
  yield* selector.select(assembler.flush())
}

/**
 * Several logs as one, in order of time; lines of the same time in the order of `logs`. The lines of one log stay as they
 * are, also where its clock was set back.
 *
 * @yields all that the logs have
 */
export async function* mergeLogs<T extends { readonly atMs: number }>(
  logs: readonly AsyncIterable<T>[],
): AsyncGenerator<T, void, undefined> {
  const iterators = logs.map((log) => log[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(iterators.map(async (iterator) => iterator.next()))
    for (;;) {
      const first = indexOfOldest(heads)
      const head = heads[first]
      const iterator = iterators[first]
      if (iterator === undefined || head === undefined || head.done === true) return
      yield head.value
      heads[first] = await iterator.next()
    }
  } finally {
    await Promise.all(iterators.map(async (iterator) => iterator.return?.()))
  }
}

async function* readRest(
  file: LogFile,
  assembler: LineAssembler,
  selector: Selector,
): AsyncGenerator<LogLine, void, undefined> {
  for await (const chunk of file.read()) yield* selector.select(assembler.push(chunk))
}

/** The index of the head with the smallest time; -1 when all have ended. */
function indexOfOldest<T extends { readonly atMs: number }>(
  heads: readonly IteratorResult<T, unknown>[],
): number {
  let oldest = -1
  let oldestMs = Number.POSITIVE_INFINITY
  for (const [index, head] of heads.entries()) {
    if (head.done === true || head.value.atMs >= oldestMs) continue
    oldest = index
    oldestMs = head.value.atMs
  }
  return oldest
}

/** Lets pass what was asked for; holds the last lines back until `release` when only those are wanted. */
class Selector {
  readonly #selection: LogSelection
  readonly #held: LogLine[] = []
  #isHolding: boolean

  constructor(selection: LogSelection) {
    this.#selection = selection
    this.#isHolding = selection.tail !== undefined
  }

  *select(lines: Iterable<LogLine>): Generator<LogLine, void, undefined> {
    for (const line of lines) {
      if (!this.#isSelected(line)) continue
      if (this.#isHolding) this.#hold(line)
      else yield line
    }
  }

  /** The lines held back; from now on none is. */
  *release(): Generator<LogLine, void, undefined> {
    this.#isHolding = false
    const { tail } = this.#selection
    const held = this.#held.splice(0)
    if (tail !== undefined && tail > 0) yield* held.slice(-tail)
  }

  #hold(line: LogLine): void {
    const { tail = 0 } = this.#selection
    this.#held.push(line)
    // Cut now and then only: at most twice the lines that are wanted are in memory.
    if (this.#held.length > 2 * tail + 64) this.#held.splice(0, this.#held.length - tail)
  }

  #isSelected({ atMs, text }: LogLine): boolean {
    const { sinceMs = 0, grep } = this.#selection
    if (atMs < sinceMs) return false
    if (grep === undefined) return true
    // `search` begins at the start, whatever the expression's flags and its last use.
    return typeof grep === 'string' ? text.includes(grep) : text.search(grep) !== -1
  }
}

/** The file that is being followed. */
class Current implements AsyncDisposable {
  file: LogFile | undefined

  constructor(file: LogFile | undefined) {
    this.file = file
  }

  async replace(file: LogFile | undefined): Promise<void> {
    await this.file?.[Symbol.asyncDispose]()
    this.file = file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.replace(undefined)
  }
}
