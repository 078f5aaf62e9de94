/**
 * From a path that a guest gave to a directory and a name in it, without ever leaving the folder the path is relative to.
 *
 * Names are entered one by one, each from an open directory, so it does not matter what others rename meanwhile. `..` goes back to the
 * directory that was entered before, not to whatever is its parent by now. Links are read and walked like the path itself.
 */

import { FILE_TYPE } from './abi.ts'
import type { VirtualDirectory } from './directory.ts'
import { ERRNO, errnoOfThrown, fail } from './errno.ts'

export const PATH_BYTES_MAX = 4096
/** As Linux. */
const LINKS_MAX = 40
/** Each directory on the way is held open meanwhile. */
const DEPTH_MAX = 256

/** Whether a link at the end of a path is followed: always, only if a slash follows it, or never. */
export type Following = 'always' | 'slash' | 'never'

export class Place implements Disposable {
  readonly directory: VirtualDirectory
  /** What is meant in `directory`; undefined for the directory itself. */
  readonly name: string | undefined
  /** A slash follows the name, so it can only be a directory. */
  readonly wantsDirectory: boolean
  readonly #entered: readonly VirtualDirectory[]

  constructor(walk: Walk, name: string | undefined) {
    this.directory = walk.current
    this.name = name
    this.wantsDirectory = walk.wantsDirectory
    this.#entered = walk.entered
  }

  [Symbol.dispose](): void {
    for (const directory of this.#entered) directory.close()
  }
}

/**
 * Walks `path` from `root`.
 *
 * @throws WasiFailure `NOENT`, `NOTDIR`, `LOOP`, `NAMETOOLONG`, and `PERM` for a path or link that is absolute or leads out of `root`
 */
export function resolve(root: VirtualDirectory, path: string, following: Following): Place {
  const walk = new Walk(root)
  try {
    walk.follow(path)
    return new Place(walk, walk.run(following))
  } catch (thrown) {
    for (const directory of walk.entered) directory.close()
    throw thrown
  }
}

class Walk {
  readonly entered: VirtualDirectory[] = []
  wantsDirectory = false
  readonly #root: VirtualDirectory
  /** Directories from the root to where the walk is. */
  readonly #stack: VirtualDirectory[] = []
  /** Names still to go, the next one last. */
  readonly #rest: string[] = []
  #links = 0

  constructor(root: VirtualDirectory) {
    this.#root = root
  }

  get current(): VirtualDirectory {
    return this.#stack.at(-1) ?? this.#root
  }

  /** Puts `path` before what is still to go. */
  follow(path: string): void {
    if (path === '') fail(ERRNO.NOENT)
    if (path.startsWith('/')) fail(ERRNO.PERM)
    if (this.#rest.length === 0 && path.endsWith('/')) this.wantsDirectory = true
    if (!path.includes('/')) {
      this.#rest.push(path)
      return
    }
    const names = path.split('/')
    for (let index = names.length - 1; index >= 0; index -= 1) {
      const name = names[index]
      if (name !== undefined && name !== '') this.#rest.push(name)
    }
  }

  /** Goes to the last directory and gives the name that remains. */
  run(following: Following): string | undefined {
    for (;;) {
      const name = this.#rest.pop()
      if (name === undefined) return undefined
      if (name === '..') this.#leave()
      if (name === '.' || name === '..') continue
      if (this.#rest.length > 0) this.#enter(name)
      else if (!this.#isFollowed(name, following)) return name
    }
  }

  #leave(): void {
    if (this.#stack.pop() === undefined) fail(ERRNO.PERM)
  }

  #enter(name: string): void {
    if (this.entered.length === DEPTH_MAX) fail(ERRNO.NAMETOOLONG)
    const { current } = this
    try {
      const directory = current.enter(name)
      this.#stack.push(directory)
      this.entered.push(directory)
    } catch (thrown) {
      if (errnoOfThrown(thrown) !== ERRNO.NOTDIR) throw thrown
      if (current.typeOf(name) !== FILE_TYPE.SYMBOLIC_LINK) throw thrown
      this.#followLink(name)
    }
  }

  #isFollowed(name: string, following: Following): boolean {
    if (following === 'never') return false
    if (following === 'slash' && !this.wantsDirectory) return false
    if (this.current.typeOf(name) !== FILE_TYPE.SYMBOLIC_LINK) return false
    this.#followLink(name)
    return true
  }

  #followLink(name: string): void {
    this.#links += 1
    if (this.#links > LINKS_MAX) fail(ERRNO.LOOP)
    this.follow(this.current.readLink(name))
  }
}
