/**
 * Where the dynamic loader would find a library on this machine, by the rules of ld.so(8), without running it.
 * LD_LIBRARY_PATH is not looked at: instances do not have the caller's environment.
 */

import { glob, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

import { readElf, type Elf } from './elf.ts'

const TRIPLETS = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu', unknown: '' } as const
const CONF_DEPTH_MAX = 8

export interface FoundLibrary {
  /** Absolute path, as found; symlinks are not followed. */
  readonly path: string
  /** Whether a loader without a cache or configuration finds it there too. */
  readonly isDefault: boolean
}

export class Libraries {
  readonly #architecture: Elf['architecture']
  readonly #default: readonly string[]
  readonly #configured: readonly string[]

  private constructor(architecture: Elf['architecture'], configured: readonly string[]) {
    const triplet = TRIPLETS[architecture]
    this.#architecture = architecture
    this.#default = ['/lib', '/usr/lib'].flatMap((folder) => {
      return [`${folder}/${triplet}`, `${folder}64`, folder]
    })
    this.#configured = configured
  }

  static async open(architecture: Elf['architecture']): Promise<Libraries> {
    return new Libraries(architecture, await readConf('/etc/ld.so.conf', 0))
  }

  /** A default folder of this machine, for libraries from elsewhere. */
  async homeFolder(): Promise<string> {
    for (const folder of this.#default.filter((f) => f.startsWith('/usr/'))) {
      if ((await kindOf(folder)) === 'folder') return folder
    }
    return '/usr/lib'
  }

  /** @param user  the path of the file that needs it, and what that file says */
  async find(
    name: string,
    user: { readonly path: string; readonly elf: Elf },
  ): Promise<FoundLibrary | undefined> {
    if (name.includes('/')) {
      const isFound = await this.#isLibrary(name)
      return isFound ? { path: name, isDefault: true } : undefined
    }
    const origin = path.dirname(await realpath(user.path))
    const own = user.elf.libraryFolders.map((f) => f.replaceAll(/\$(ORIGIN|\{ORIGIN\})/g, origin))
    // The default folders before the configured ones: inside an instance only the former are looked at.
    for (const folder of [...own, ...this.#default, ...this.#configured]) {
      const candidate = path.join(folder, name)
      if (!path.isAbsolute(folder) || !(await this.#isLibrary(candidate))) continue
      return { path: candidate, isDefault: this.#default.includes(path.normalize(folder)) }
    }
    return undefined
  }

  async #isLibrary(candidate: string): Promise<boolean> {
    if ((await kindOf(candidate)) !== 'file') return false
    const elf = await readElf(candidate).catch(() => undefined)
    return elf?.architecture === this.#architecture
  }
}

async function kindOf(candidate: string): Promise<'file' | 'folder' | undefined> {
  const status = await stat(candidate).catch(() => undefined)
  if (status?.isFile()) return 'file'
  return status?.isDirectory() ? 'folder' : undefined
}

/** The folders that ld.so.conf lists, includes followed, as ldconfig(8) reads it. */
async function readConf(file: string, depth: number): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const folders: string[] = []
  for (const line of text.split('\n').map((raw) => raw.replace(/#.*/, '').trim())) {
    const pattern = /^include\s+(.+)$/.exec(line)?.[1]
    if (pattern !== undefined && depth < CONF_DEPTH_MAX) {
      const included = await Array.fromAsync(glob(path.resolve(path.dirname(file), pattern)))
      for (const one of included.toSorted()) {
        folders.push(...(await readConf(one, depth + 1)))
      }
    }
    if (line.startsWith('/')) folders.push(line)
  }
  return folders
}
