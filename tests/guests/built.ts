/** Guests that take long to build, kept in a folder outside of the repository for as long as their scripts stay as they are. */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const HERE = import.meta.dirname
const CACHE = path.join(
  process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'),
  'quiver-guests',
)

export interface Built {
  readonly folder: string
  /** What made it, with versions. */
  readonly toolchain: string
}

/** Runs `build.sh` of a folder beside this file. */
export async function buildGuest(name: string): Promise<Built> {
  const files = globSync(['*.sh', 'setjmp/*', `${name}/**/*.*`], { cwd: HERE }).toSorted()
  const sources = files.map((file) => readFileSync(path.join(HERE, file), 'utf8'))
  const script = path.join(HERE, name, 'build.sh')
  return await keep(name, sources, (folder) => run('sh', [script, folder], BUFFER))
}

/** A module out of a package of npm. @param spec  its name and version */
export async function fetchModule(name: string, spec: string, file: string): Promise<Built> {
  const script = path.join(HERE, 'npm-module.sh')
  return await keep(name, [spec, file], (folder) => run('sh', [script, spec, file, folder], BUFFER))
}

export async function bytesOf(file: string): Promise<number> {
  return (await stat(file)).size
}

/** What `configure` and `make` write is kept in memory, for the message when they fail. */
const BUFFER = { maxBuffer: 64 * 1024 * 1024 }

async function keep(
  name: string,
  sources: readonly string[],
  build: (folder: string) => Promise<unknown>,
): Promise<Built> {
  const key = createHash('sha256').update(JSON.stringify(sources)).digest('hex').slice(0, 12)
  const folder = path.join(CACHE, `${name}-${key}`)
  if (!existsSync(folder)) {
    await mkdir(CACHE, { recursive: true })
    const unfinished = await mkdtemp(path.join(CACHE, 'new-'))
    try {
      await chmod(unfinished, 0o755)
      await build(unfinished)
      await rename(unfinished, folder)
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  }
  const toolchain = await readFile(path.join(folder, 'toolchain'), 'utf8')
  return { folder, toolchain: toolchain.trim() }
}
