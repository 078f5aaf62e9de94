/** The files of a log on disk: opened without missing a rotation, read as they grow. Nothing of their format. */

import { watch } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf } from '../../core/error.ts'

const READ_BYTES = 256 * 1024

/** A file read to its end, again and again. */
export class LogFile implements AsyncDisposable {
  readonly inode: number
  readonly #handle: FileHandle
  #position = 0

  constructor(handle: FileHandle, inode: number) {
    this.#handle = handle
    this.inode = inode
  }

  /** @yields what has been written since the last reading */
  async *read(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      const { bytesRead } = await this.#handle.read(buffer, 0, READ_BYTES, this.#position)
      if (bytesRead === 0) return
      this.#position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

/** The inode that a path leads to now; undefined when there is nothing. */
export async function inodeAt(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).ino
  } catch {
    return undefined
  }
}

/** Undefined when there is no such file. */
export async function openLogFile(file: string): Promise<LogFile | undefined> {
  let handle: FileHandle
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
  const { ino } = await handle.stat()
  return new LogFile(handle, ino)
}

export interface LogFiles {
  readonly older: LogFile | undefined
  readonly newest: LogFile | undefined
}

/** Both files as they were at one moment. */
export async function openLogFiles(folder: string): Promise<LogFiles> {
  const newest = await openLogFile(path.join(folder, 'log'))
  const older = await openLogFile(path.join(folder, 'log.1'))
  if (newest === undefined || newest.inode !== older?.inode) return { older, newest }
  // Renamed between the two: there is a newer one by now, or soon.
  await newest[Symbol.asyncDispose]()
  return { older, newest: await openLogFile(path.join(folder, 'log')) }
}

/** Wakes up when anything in a folder changes (inotify); changes while nobody waits are remembered. */
export class FolderChanges implements Disposable {
  readonly #watcher: ReturnType<typeof watch> | undefined
  readonly #signal: AbortSignal
  #hasChanged = false
  #isGone = false
  #wake: () => void = () => {}

  constructor(folder: string, signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#change, { once: true })
    try {
      this.#watcher = watch(folder, this.#change)
      this.#watcher.on('error', this.#end)
    } catch {
      this.#isGone = true
    }
  }

  /** True when there is no folder to watch. */
  get isGone(): boolean {
    return this.#isGone
  }

  async next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    if (!this.#hasChanged && !this.#isGone && !this.#signal.aborted) await promise
    this.#hasChanged = false
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#change)
    this.#watcher?.close()
  }

  readonly #change = (): void => {
    this.#hasChanged = true
    this.#wake()
  }

  readonly #end = (): void => {
    this.#isGone = true
    this.#wake()
  }
}

/** Resolves when there is such a folder, or will be none: its parent is gone, or `signal` says so. */
export async function awaitFolder(folder: string, signal: AbortSignal): Promise<void> {
  const parent = path.dirname(folder)
  using changes = new FolderChanges(parent, signal)
  while (!changes.isGone && !signal.aborted) {
    if ((await inodeAt(folder)) !== undefined || (await inodeAt(parent)) === undefined) return
    await changes.next()
  }
}
