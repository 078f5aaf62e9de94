/**
 * Core dumps of tasks: taken out of the folders of instances, compressed, listed, read and removed. They belong to their task,
 * and stay when its instances are long gone.
 *
 * A dump leaves an instance's folder by being renamed, at once; what it holds is looked at, and compressed, later, if need be by
 * the next control process. How many and how much of a task is kept is bounded, and the oldest goes first.
 */

import { constants, createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdCompress, createZstdDecompress } from 'node:zlib'

import { errnoOf, QuiverError } from '../core/error.ts'

import { readCoreFacts, type CoreModule } from './cores/elf-core.ts'
import type { InstancePlan } from './driver.ts'
import { diskError } from './process.ts'

export type { CoreModule } from './cores/elf-core.ts'

export interface Core {
  readonly task: string
  /** 1, 2, 3 … of its task, in the order in which they were stored. */
  readonly number: number
  readonly revision: number
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly atMs: number
  /** Of the process, inside its machine. */
  readonly pid: number | null
  readonly signal: number | null
  /** What the process called itself, which may be anything. */
  readonly command: string
  /** The file that it ran. */
  readonly program: CoreModule | null
  readonly modules: readonly CoreModule[]
  /** As `read` gives it. */
  readonly bytes: number
  /** As it is kept, compressed. */
  readonly storedBytes: number
  /** `limits.core` or the end of its machine cut it off. */
  readonly isTruncated: boolean
}

export interface CoresOptions {
  readonly folder: string
  readonly onStored: (core: Core) => void
  /** A dump could not be stored, and is lost. */
  readonly onFailure: (error: QuiverError) => void
}

const CORES_MAX = 8
const STORED_BYTES_MAX = 1024 ** 3
/** Holds what was taken and is not stored yet; no task can be called so. */
const INCOMING = '.incoming'
const TAKEN = /^(?<task>[a-z0-9-]+)-(?<revision>\d+)-[a-z0-9]{6,}\.\d+$/
/** In the folder `out` of an instance; `.part` is still being written, or was when its machine ended. */
const WRITTEN = /^core\.(\d+)(\.part)?$/
const STORED = /^(\d+)\.json$/
/** `pid=… signal=… comm=…`, whose end the process chose. */
const HEAD_BYTES_MAX = 256
const HEAD = /^pid=(\d{1,10}) signal=(\d{1,3}) comm=([^\n]*)\n/
const COMMAND_LENGTH_MAX = 64

export class Cores {
  readonly #options: CoresOptions
  /** One at a time: a task that crashes in all its instances does not take the whole machine. */
  #storing: Promise<void> = Promise.resolve()
  readonly #removed = new Set<string>()

  private constructor(options: CoresOptions) {
    this.#options = options
  }

  /** Goes on with what an earlier process took and did not store. */
  static async open(options: CoresOptions): Promise<Cores> {
    const cores = new Cores(options)
    await mkdir(cores.#incoming, { recursive: true, mode: 0o700 })
    for (const name of await readdir(cores.#incoming)) cores.#enqueue(name)
    return cores
  }

  /**
   * Takes the dumps that an instance has written, so that its folder can go. Quick, and never rejects.
   *
   * @param isOver  nothing is written any more: also what was not written to its end
   */
  async take({ id }: InstancePlan, instanceFolder: string, isOver: boolean): Promise<void> {
    const out = path.join(instanceFolder, 'out')
    const names = await readdir(out).catch(() => [])
    for (const name of names) {
      const [, number, part] = WRITTEN.exec(name) ?? []
      if (number === undefined || (part !== undefined && !isOver)) continue
      const taken = `${id}.${number}`
      try {
        await rename(path.join(out, name), path.join(this.#incoming, taken))
        this.#enqueue(taken)
      } catch (thrown) {
        this.#fail(thrown, `a core dump of ${id}`)
      }
    }
  }

  /** Resolves when what was taken until now is stored, and can be listed. */
  async settled(): Promise<void> {
    await this.#storing
  }

  /** By task, oldest first. */
  async list(task?: string): Promise<readonly Core[]> {
    const tasks = task === undefined ? await this.#tasks() : [task]
    const lists = await Promise.all(tasks.map(async (name) => await this.#listOne(name)))
    return lists.flat()
  }

  /** A core dump as the kernel wrote it. @throws QuiverError `not_found/CORE_NOT_FOUND` */
  async read(task: string, number: number): Promise<Readable> {
    const core = await this.#require(task, number)
    const source = createReadStream(this.#file(core, 'zst'))
    const output = createZstdDecompress()
    // The reader of `output` is told.
    pipeline(source, output).catch(() => {})
    return output
  }

  /** @throws QuiverError `not_found/CORE_NOT_FOUND` */
  async remove(task: string, number: number): Promise<void> {
    await this.#delete(await this.#require(task, number))
  }

  /** All of a task that is no more. */
  async removeTask(task: string): Promise<void> {
    this.#removed.add(task)
    await this.#storing
    this.#removed.delete(task)
    await rm(this.#folder(task), { recursive: true, force: true })
  }

  /** Of tasks that were removed while nobody could do this. */
  async removeOthers(isTask: (name: string) => boolean): Promise<void> {
    await this.#storing
    for (const task of await this.#tasks()) if (!isTask(task)) await this.removeTask(task)
  }

  get #incoming(): string {
    return path.join(this.#options.folder, INCOMING)
  }

  #folder(task: string): string {
    return path.join(this.#options.folder, task)
  }

  #file({ task, number }: Pick<Core, 'task' | 'number'>, kind: 'json' | 'zst'): string {
    return path.join(this.#folder(task), `${number}.${kind}`)
  }

  async #tasks(): Promise<readonly string[]> {
    const names = await readdir(this.#options.folder)
    return names.filter((name) => name !== INCOMING).toSorted()
  }

  async #listOne(task: string): Promise<readonly Core[]> {
    const names = await readdir(this.#folder(task)).catch(() => [])
    const numbers = names.flatMap((name) => {
      const [, number] = STORED.exec(name) ?? []
      return number === undefined ? [] : [Number(number)]
    })
    const read = numbers
      .toSorted((a, b) => a - b)
      .map((number) => readCore(this.#file({ task, number }, 'json')))
    return (await Promise.all(read)).filter((core) => core !== undefined)
  }

  async #require(task: string, number: number): Promise<Core> {
    const all = await this.#listOne(task)
    const found = all.find((core) => core.number === number)
    if (found !== undefined) return found
    const message = `there is no core dump ${number} of ${task}`
    throw new QuiverError('not_found', 'CORE_NOT_FOUND', message, {
      hint:
        all.length === 0
          ? 'They are kept of tasks in microVMs that have limits.core.'
          : `There are ${all.map((core) => core.number).join(', ')}.`,
    })
  }

  #enqueue(taken: string): void {
    this.#storing = this.#storing.then(async () => {
      const file = path.join(this.#incoming, taken)
      try {
        const core = await this.#store(file, taken)
        if (core !== undefined) this.#options.onStored(core)
      } catch (thrown) {
        this.#fail(thrown, `the core dump ${taken}`)
      }
      // What stays is tried again by the next process.
      await rm(file, { recursive: true, force: true }).catch((thrown: unknown) => {
        this.#fail(thrown, `the core dump ${taken}`)
      })
    })
  }

  #fail(thrown: unknown, what: string): void {
    this.#options.onFailure(QuiverError.from(diskError(thrown, what)))
  }

  /** Undefined for what is no dump, or nobody's any more. */
  async #store(file: string, taken: string): Promise<Core | undefined> {
    const { task, revision } = TAKEN.exec(taken)?.groups ?? {}
    if (task === undefined || this.#removed.has(task)) return undefined
    await using handle = await openPlainFile(file)
    if (handle === undefined) return undefined
    const { size, mtimeMs } = await handle.stat()
    const head = parseHead((await readHead(handle)).toString('latin1'))
    const facts = await readCoreFacts(handle, head.bytes)
    await mkdir(this.#folder(task), { recursive: true, mode: 0o700 })
    const number = ((await this.#listOne(task)).at(-1)?.number ?? 0) + 1
    const target = this.#file({ task, number }, 'zst')
    await pipeline(
      handle.createReadStream({ start: head.bytes, autoClose: false }),
      createZstdCompress(),
      createWriteStream(target, { mode: 0o600 }),
    )
    const { command, pid, signal } = head
    const core: Core = {
      task,
      number,
      revision: Number(revision),
      instance: taken.replace(/\.\d+$/, ''),
      atMs: Math.round(mtimeMs),
      pid,
      signal,
      command,
      ...facts,
      bytes: size - head.bytes,
      storedBytes: (await stat(target)).size,
    }
    // Written last: what has none is not there.
    const record = this.#file(core, 'json')
    await writeFile(`${record}.new`, JSON.stringify(core), { mode: 0o600 })
    await rename(`${record}.new`, record)
    await this.#removeOldest(task)
    return core
  }

  async #removeOldest(task: string): Promise<void> {
    const newestFirst = (await this.#listOne(task)).toReversed()
    let bytes = 0
    for (const [index, core] of newestFirst.entries()) {
      bytes += core.storedBytes
      // The newest stays, however large it is.
      if (index > 0 && (index >= CORES_MAX || bytes > STORED_BYTES_MAX)) await this.#delete(core)
    }
  }

  async #delete(core: Core): Promise<void> {
    await rm(this.#file(core, 'json'), { force: true })
    await rm(this.#file(core, 'zst'), { force: true })
  }
}

/** Undefined for what is not there, or no file: whoever wrote it is as trusted as its machine. */
async function openPlainFile(file: string): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const handle = await open(file, flags).catch((thrown: unknown) => {
    const errno = errnoOf(thrown)
    if (errno === 'ENOENT' || errno === 'ELOOP' || errno === 'ENXIO') return undefined
    throw thrown
  })
  if (handle === undefined || (await handle.stat()).isFile()) return handle
  await handle.close()
  return undefined
}

async function readHead(handle: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(
    Buffer.alloc(HEAD_BYTES_MAX),
    0,
    HEAD_BYTES_MAX,
    0,
  )
  return buffer.subarray(0, bytesRead)
}

/** @param bytes  of the head, in front of the dump */
function parseHead(text: string): Pick<Core, 'pid' | 'signal' | 'command'> & { bytes: number } {
  const [head, pid, signal, command] = HEAD.exec(text) ?? []
  if (head === undefined) return { pid: null, signal: null, command: '', bytes: 0 }
  return {
    pid: Number(pid),
    signal: Number(signal),
    command: (command ?? '').slice(0, COMMAND_LENGTH_MAX),
    bytes: head.length,
  }
}

/** What cannot be read is as what is not there. */
async function readCore(file: string): Promise<Core | undefined> {
  try {
    const core: Core = JSON.parse(await readFile(file, 'utf8'))
    return core
  } catch {
    return undefined
  }
}
