/**
 * A wall clock that a test sets, for whole unmodified processes: libfaketime (Debian's package `faketime`) is loaded before
 * their C library and reads a file at each look at the clock. The monotonic clock stays as it is, and so do statically
 * linked programs, which see the machine's time.
 */

import { existsSync, globSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

const SHARED = '/dev/shm'
const [LIBRARY] = globSync('/usr/lib/*/faketime/libfaketime.so.1')

export const hasWallClock = LIBRARY !== undefined && existsSync(LIBRARY)

export class WallClock implements AsyncDisposable {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async open(): Promise<WallClock> {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-clock-'))
    // The proxy and egress read it as other users.
    await chmod(folder, 0o711)
    const clock = new WallClock(folder)
    await clock.set('+0')
    return clock
  }

  /** For the processes whose clock it is to be. */
  get env(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    }
  }

  /** @param offset  from the true time, as libfaketime writes it: `+0`, `+1d`, `-1d`, `+10y` (of 365 days) */
  async set(offset: string): Promise<void> {
    const fresh = `${this.#file}.new`
    await writeFile(fresh, `${offset}\n`, { mode: 0o644 })
    await rename(fresh, this.#file)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    await removeShared()
  }

  get #file(): string {
    return path.join(this.#folder, 'offset')
  }
}

/** Each process has shared memory of its own, named by its pid, and leaves it when it is killed. */
async function removeShared(): Promise<void> {
  for (const name of await readdir(SHARED)) {
    const [, pid] = /^(?:sem\.faketime_sem|faketime_shm)_(\d+)$/.exec(name) ?? []
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue
    await rm(path.join(SHARED, name), { force: true })
  }
}
