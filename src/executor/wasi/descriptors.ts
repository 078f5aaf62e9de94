/** What a guest has open, by number, with the rights it has on each. Closing is the caller's business. */

import {
  FILE_TYPE,
  RIGHTS_ALL,
  RIGHTS_DIRECTORY,
  RIGHTS_SINK,
  RIGHTS_SOURCE,
  type FileType,
} from './abi.ts'
import type { DirectoryEntry, VirtualDirectory, VirtualFile } from './directory.ts'
import { ERRNO, fail } from './errno.ts'
import type { Listener, SocketConnection } from './sockets.ts'
import { Reader, type Stream } from './streams.ts'

export type Descriptor =
  | FileDescriptor
  | DirectoryDescriptor
  | StreamDescriptor
  | ConnectionDescriptor
  | ListenerDescriptor

interface Rights {
  readonly base: number
  readonly inheriting: number
}

export class FileDescriptor {
  readonly kind = 'file'
  readonly type = FILE_TYPE.REGULAR_FILE
  readonly file: VirtualFile
  position = 0
  base: number
  inheriting: number
  flags: number

  constructor(file: VirtualFile, rights: Rights, flags: number) {
    this.file = file
    this.base = rights.base
    this.inheriting = rights.inheriting
    this.flags = flags
  }
}

export class DirectoryDescriptor {
  readonly kind = 'directory'
  readonly type = FILE_TYPE.DIRECTORY
  readonly directory: VirtualDirectory
  /** The name it was declared with; undefined for what the guest opened itself, and then it is the guest's to close. */
  readonly preopenName: string | undefined
  base: number
  inheriting: number
  flags = 0
  /** What the guest saw when it began to list. */
  listing: readonly DirectoryEntry[] | undefined

  constructor(directory: VirtualDirectory, preopenName: string | undefined, rights?: Rights) {
    this.directory = directory
    this.preopenName = preopenName
    this.base = rights?.base ?? RIGHTS_DIRECTORY
    this.inheriting = rights?.inheriting ?? RIGHTS_ALL
  }
}

export class StreamDescriptor {
  readonly kind = 'stream'
  readonly type: FileType
  readonly reader: Reader | undefined
  readonly sink: Stream['sink']
  base: number
  inheriting = 0
  flags = 0

  constructor(stream: Stream, rights?: number) {
    this.type =
      (stream.source ?? stream.sink)?.isTerminal === true
        ? FILE_TYPE.CHARACTER_DEVICE
        : FILE_TYPE.UNKNOWN
    this.reader = stream.source && new Reader(stream.source)
    this.sink = stream.sink
    const possible =
      (stream.source === undefined ? 0 : RIGHTS_SOURCE) |
      (stream.sink === undefined ? 0 : RIGHTS_SINK)
    this.base = rights === undefined ? possible : possible & rights
  }
}

export class ConnectionDescriptor {
  readonly kind = 'connection'
  readonly type = FILE_TYPE.SOCKET_STREAM
  readonly connection: SocketConnection
  readonly reader: Reader
  base: number
  inheriting = 0
  flags: number

  constructor(connection: SocketConnection, rights: number, flags: number) {
    this.connection = connection
    this.reader = new Reader(connection)
    this.base = rights
    this.flags = flags
  }
}

export class ListenerDescriptor {
  readonly kind = 'listener'
  readonly type = FILE_TYPE.SOCKET_STREAM
  readonly listener: Listener
  base: number
  inheriting: number
  flags = 0

  constructor(listener: Listener, rights: Rights) {
    this.listener = listener
    this.base = rights.base
    this.inheriting = rights.inheriting
  }
}

export class DescriptorTable {
  readonly #slots: (Descriptor | undefined)[] = []
  readonly #countMax: number
  /** No slot below it is free. */
  #firstFree = 0

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  /** Puts it at the lowest free number. Throws `MFILE`. */
  add(descriptor: Descriptor): number {
    const fd = this.room()
    this.#slots[fd] = descriptor
    this.#firstFree = fd + 1
    return fd
  }

  /** The number that `add` will use. Throws `MFILE`, so that nothing need be opened in vain. */
  room(): number {
    let fd = this.#firstFree
    while (this.#slots[fd] !== undefined) fd += 1
    this.#firstFree = fd
    return fd < this.#countMax ? fd : fail(ERRNO.MFILE)
  }

  peek(fd: number): Descriptor | undefined {
    return this.#slots[fd >>> 0]
  }

  /** Throws `BADF`. */
  get(fd: number): Descriptor {
    return this.#slots[fd >>> 0] ?? fail(ERRNO.BADF)
  }

  /** Takes it out. Throws `BADF`. */
  remove(fd: number): Descriptor {
    const descriptor = this.get(fd)
    this.#slots[fd >>> 0] = undefined
    this.#firstFree = Math.min(this.#firstFree, fd >>> 0)
    return descriptor
  }

  /** Moves `from` to the number `to`, and gives what was there; undefined if they are the same. Throws `BADF`. */
  renumber(from: number, to: number): Descriptor | undefined {
    const [moved, replaced] = [this.get(from), this.get(to)]
    if (moved === replaced) return undefined
    this.remove(from)
    this.#slots[to >>> 0] = moved
    return replaced
  }

  /** Takes out everything. */
  clear(): readonly Descriptor[] {
    const all = this.#slots.filter((each) => each !== undefined)
    this.#slots.length = 0
    this.#firstFree = 0
    return all
  }
}
