/** Programs that a build runs: what they say goes to a log, they write in one folder, and none of them outlives this process. */

import { spawn } from 'node:child_process'
import { open, type FileHandle } from 'node:fs/promises'

import { QuiverError } from '../core/error.ts'

interface Options {
  readonly folder: string
  /** The one folder that it may write. It and all that it starts end with this process, even if that is killed. */
  readonly confinedTo?: string
  readonly signal: AbortSignal
  readonly log?: BuildLog
  readonly env?: Readonly<Record<string, string>>
  readonly onOutput?: ((text: string) => void) | undefined
}

const TAIL_LINES = 8
const TAIL_CHARACTERS = 4000

/** A file of what was run and said, and the end of it in memory. */
export class BuildLog implements AsyncDisposable {
  readonly path: string
  readonly #file: FileHandle
  #tail = ''
  #written: Promise<unknown> = Promise.resolve()

  private constructor(file: string, handle: FileHandle) {
    this.path = file
    this.#file = handle
  }

  /** Over an older one. */
  static async open(file: string): Promise<BuildLog> {
    return new BuildLog(file, await open(file, 'w', 0o644))
  }

  add(text: string): void {
    this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS)
    this.#written = this.#written.then(() => this.#file.write(text)).catch(() => {})
  }

  lastLines(): string {
    return this.#tail.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#written
    await this.#file.close()
  }
}

/**
 * Without input, and with an environment of its own: what a user has in theirs would be in the kernel.
 *
 * @returns what it wrote to stdout
 * @throws QuiverError `failed_precondition/KERNEL_BUILD_FAILED`; the signal's reason
 */
export async function run(
  program: string,
  args: readonly string[],
  { folder, confinedTo, signal, log, env = {}, onOutput }: Options,
): Promise<string> {
  signal.throwIfAborted()
  log?.add(`> ${program} ${args.join(' ')}\n`)
  const { promise, resolve, reject } = Promise.withResolvers<number | string | null>()
  const [first, ...rest] =
    confinedTo === undefined ? [program, ...args] : [...confine(confinedTo), program, ...args]
  const child = spawn(first, rest, {
    cwd: folder,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    log?.add(chunk)
    onOutput?.(chunk)
    if (log === undefined) text += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => log?.add(chunk))
  // One that is told to end still has to: what it works on is removed afterwards.
  child.once('error', (thrown) => child.pid === undefined && reject(thrown))
  child.once('close', (status, name) => resolve(status ?? name))
  const outcome = await promise
  signal.throwIfAborted()
  if (outcome === 0) return text
  const said = log === undefined ? '' : `\n${log.lastLines()}`
  const message = `"${program}" ended with ${outcome}, and the kernel is not built${said}`
  throw new QuiverError('failed_precondition', 'KERNEL_BUILD_FAILED', message, {
    hint: log === undefined ? 'Run it by itself.' : `Read all it said: ${log.path}`,
  })
}

function confine(folder: string): readonly [string, ...string[]] {
  const own = '--die-with-parent --unshare-pid --unshare-net --ro-bind / / --proc /proc --dev /dev'
  return ['bwrap', ...own.split(' '), '--bind', folder, folder, '--setenv', 'TMPDIR', folder, '--']
}
