/**
 * A tree made of files of this machine, at the paths they have here: symlinks on the way are kept (`/lib64` → `usr/lib64`),
 * and ELF files bring the libraries they need. Reads only; storing the files is up to the caller.
 */

import { lstat, readFile, readlink, realpath } from 'node:fs/promises'
import path from 'node:path'

import { digestOf, type Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import { errno } from './durable.ts'
import { each } from './each.ts'
import { readElf, type Elf } from './elf.ts'
import { digestOfFile } from './files.ts'
import type { Sources, TreeEntry } from './images.ts'
import { Libraries } from './libraries.ts'
import { sourceOfPyc, withoutFileTimes } from './pyc.ts'
import { comparePaths, foldersOf } from './tree.ts'

const WIDTH = 4
/** As in the kernel's path walk. */
const SYMLINKS_MAX = 40

/** A library that no folder of this machine has. */
export interface MissingLibrary {
  readonly name: string
  readonly neededBy: string
}

export class HostTree {
  /** Path in the tree, absolute → path on this machine. */
  readonly #files = new Map<string, string>()
  readonly #symlinks = new Map<string, string>()
  readonly #texts = new Map<string, string>()
  readonly #folders = new Set<string>()
  /** Paths on this machine that are known to be folders. */
  readonly #known = new Set<string>(['/'])

  /**
   * Adds a file, with the symlinks on the way to it; a folder as an empty one.
   *
   * @throws QuiverError `not_found/HOST_FILE_MISSING`
   */
  async add(hostPath: string): Promise<void> {
    let place = '/'
    let rest = hostPath.split('/')
    for (let symlinks = 0; rest.length > 0;) {
      const [part = '', ...others] = rest
      rest = others
      if (part === '..') place = path.dirname(place)
      if (part === '' || part === '.' || part === '..') continue
      const here = path.join(place, part)
      const kind = await this.#kind(here, hostPath)
      if (kind === 'symlink') {
        if (++symlinks > SYMLINKS_MAX) throw missing(hostPath)
        const target = await readlink(here)
        this.link(here, path.resolve(place, target))
        if (path.isAbsolute(target)) place = '/'
        rest = [...target.split('/'), ...rest]
        continue
      }
      if (kind === 'file') this.#files.set(here, here)
      place = here
    }
    if (this.#known.has(place)) this.#folders.add(place)
  }

  /** Adds a file under another path than it has on this machine. */
  async addAs(hostPath: string, treePath: string): Promise<void> {
    const real = await realpath(hostPath).catch(() => {
      throw missing(hostPath)
    })
    this.#files.set(treePath, real)
  }

  /** @param target  absolute in the tree; the symlink becomes a relative one */
  link(treePath: string, target: string): void {
    if (this.#symlinks.has(treePath) || this.#files.has(treePath)) return
    this.#symlinks.set(treePath, path.relative(path.dirname(treePath), target) || '.')
  }

  /** An empty folder, unless something is added below it. */
  folder(treePath: string): void {
    this.#folders.add(treePath)
  }

  text(treePath: string, content: string): void {
    this.#texts.set(treePath, content)
  }

  /**
   * Adds the loader and the libraries of every ELF file so far, and theirs.
   *
   * @param also  names of libraries that are loaded while running, without being listed
   * @returns libraries that were not found
   */
  async addLibraries(
    architecture: Elf['architecture'],
    also: readonly string[],
  ): Promise<readonly MissingLibrary[]> {
    const libraries = await Libraries.open(architecture)
    const done = new Set<string>()
    const lost: MissingLibrary[] = []
    for (let todo = this.#filesBut(done); todo.length > 0; todo = this.#filesBut(done)) {
      for (const file of todo) {
        done.add(file)
        const elf = await readElf(file)
        if (elf?.architecture !== architecture) continue
        lost.push(...(await this.#addNeeds(libraries, { path: file, elf }, also)))
      }
    }
    return lost
  }

  /** The finished tree, sorted, and where its bytes are. Reads every file. */
  async build(): Promise<{ readonly tree: readonly TreeEntry[]; readonly sources: Sources }> {
    const entries: TreeEntry[] = []
    const sources = new Map<Digest, string | Uint8Array>()
    await each(this.#files, WIDTH, async ([treePath, hostPath]) => {
      const file = await this.#read(treePath, hostPath)
      if (!file) return
      sources.set(file.entry.digest, file.source)
      entries.push(file.entry)
    })
    for (const [treePath, content] of this.#texts) {
      const bytes = Buffer.from(content)
      const digest = digestOf(bytes)
      sources.set(digest, bytes)
      const facts = { digest, bytes: bytes.length, isExecutable: false }
      entries.push({ kind: 'file', path: treePath.slice(1), ...facts })
    }
    for (const [treePath, target] of this.#symlinks) {
      entries.push({ kind: 'symlink', path: treePath.slice(1), target })
    }
    const needed = new Set(foldersOf(entries))
    for (const folder of this.#folders) {
      const isEmpty = folder !== '/' && !needed.has(folder.slice(1))
      if (isEmpty) entries.push({ kind: 'folder', path: folder.slice(1) })
    }
    return { tree: entries.toSorted((a, b) => comparePaths(a.path, b.path)), sources }
  }

  #filesBut(done: ReadonlySet<string>): readonly string[] {
    return [...this.#files.values()].filter((file) => !done.has(file))
  }

  async #addNeeds(
    libraries: Libraries,
    user: { readonly path: string; readonly elf: Elf },
    also: readonly string[],
  ): Promise<readonly MissingLibrary[]> {
    const { interpreter, needed } = user.elf
    if (interpreter !== null) await this.add(interpreter)
    const lost: MissingLibrary[] = []
    for (const name of interpreter === null ? needed : [...needed, ...also]) {
      const found = await libraries.find(name, user)
      if (!found) {
        lost.push({ name, neededBy: user.path })
        continue
      }
      if (found.isDefault) await this.add(found.path)
      else await this.addAs(found.path, path.join(await libraries.homeFolder(), name))
    }
    return lost
  }

  async #read(
    treePath: string,
    hostPath: string,
  ): Promise<{ entry: TreeEntry & { kind: 'file' }; source: string | Uint8Array } | undefined> {
    const status = await lstat(hostPath)
    const isExecutable = (status.mode & 0o111) !== 0
    const python = sourceOfPyc(hostPath)
    if (python !== undefined) {
      const times = await lstat(python, { bigint: true }).catch(() => undefined)
      const source = times && withoutFileTimes(await readFile(hostPath), times)
      if (!source) return undefined
      const facts = { digest: digestOf(source), bytes: source.length, isExecutable }
      return { entry: { kind: 'file', path: treePath.slice(1), ...facts }, source }
    }
    const facts = {
      digest: await digestOfFile(hostPath, status.size),
      bytes: status.size,
      isExecutable,
    }
    return { entry: { kind: 'file', path: treePath.slice(1), ...facts }, source: hostPath }
  }

  async #kind(here: string, whole: string): Promise<'file' | 'symlink' | 'folder'> {
    if (this.#known.has(here)) return 'folder'
    try {
      const status = await lstat(here)
      if (status.isSymbolicLink()) return 'symlink'
      if (status.isFile()) return 'file'
      if (status.isDirectory()) {
        this.#known.add(here)
        return 'folder'
      }
    } catch (thrown) {
      if (errno(thrown) !== 'ENOENT' && errno(thrown) !== 'ENOTDIR') throw thrown
    }
    throw missing(whole)
  }
}

function missing(hostPath: string): QuiverError {
  return new QuiverError('not_found', 'HOST_FILE_MISSING', `this machine has no file ${hostPath}`)
}
