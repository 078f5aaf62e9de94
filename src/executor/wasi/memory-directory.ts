/**
 * Folders in memory: the files of an image, read-only and shared by all
 * requests without being copied, and scratch folders of a limited size, such as
 * `/tmp`, which begin empty and end with the guest.
 */

import { assert } from '../../core/assert.ts'

import type { FileType } from './abi.ts'
import type {
  DirectoryEntry,
  FileStat,
  OpenedFile,
  OpenRequest,
  Times,
  VirtualDirectory,
} from './directory.ts'
import { ERRNO, fail } from './errno.ts'
import { MemoryFile, setTimesOfNode } from './memory-file.ts'
import {
  DirectoryNode,
  FileNode,
  LinkNode,
  MemoryVolume,
  statOfNode,
  type MemoryNode,
  type VolumeLimits,
} from './memory-node.ts'

const NAME_BYTES_MAX = 255

/** A file by its bytes, which stay the caller's and must not change; or a symbolic link. */
export type MemoryFileContent = Uint8Array | { readonly link: string }

/**
 * A read-only folder.
 *
 * @param files  by path, such as `lib/a.txt`; folders on the way are made. The paths are trusted: names only, neither `.` nor `..`
 */
export function buildMemoryDirectory(
  files: ReadonlyMap<string, MemoryFileContent>,
): VirtualDirectory {
  const volume = new MemoryVolume(undefined)
  const root = new DirectoryNode(volume, undefined)
  for (const [path, content] of files) {
    const names = path.split('/')
    const name = names.pop() ?? ''
    const parent = names.reduce((node, each) => directoryIn(node, each), root)
    assert(isName(name) && !parent.entries.has(name), `"${path}" is not a path for a memory folder`)
    const node =
      content instanceof Uint8Array
        ? new FileNode(volume, content)
        : new LinkNode(volume, content.link)
    parent.entries.set(name, node)
  }
  return new MemoryDirectory(root)
}

/** An empty folder that can be written up to its limits. Cheap: one may be made for each request. */
export function createScratchDirectory(limits: VolumeLimits): VirtualDirectory {
  return new MemoryDirectory(new DirectoryNode(new MemoryVolume(limits), undefined))
}

class MemoryDirectory implements VirtualDirectory {
  readonly #node: DirectoryNode

  constructor(node: DirectoryNode) {
    this.#node = node
  }

  get isReadOnly(): boolean {
    return this.#node.volume.isReadOnly
  }

  stat(): FileStat {
    return statOfNode(this.#node)
  }

  parentInode(): bigint {
    return (this.#node.parent ?? this.#node).inode
  }

  setTimes(times: Times): void {
    setTimesOfNode(this.#node, times)
  }

  list(): readonly DirectoryEntry[] {
    return [...this.#node.entries].map(([name, node]) => ({ name, type: node.type }))
  }

  duplicate(): VirtualDirectory {
    return this
  }

  close(): void {
    // Nothing is held: nodes end when nothing refers to them.
  }

  typeOf(name: string): FileType | undefined {
    return this.#node.entries.get(name)?.type
  }

  statOf(name: string): FileStat {
    return statOfNode(this.#existing(name))
  }

  setTimesOf(name: string, times: Times): void {
    setTimesOfNode(this.#existing(name), times)
  }

  enter(name: string): VirtualDirectory {
    const node = this.#existing(name)
    return node instanceof DirectoryNode ? new MemoryDirectory(node) : fail(ERRNO.NOTDIR)
  }

  open(name: string, request: OpenRequest): OpenedFile {
    const existing = this.#node.entries.get(name)
    if (existing === undefined && !request.create) return fail(ERRNO.NOENT)
    if (existing !== undefined && request.create && request.exclusive) return fail(ERRNO.EXIST)
    const node = existing ?? this.#add(name, (volume) => new FileNode(volume))
    if (node instanceof LinkNode) return fail(ERRNO.LOOP)
    if (node instanceof DirectoryNode) {
      if (request.write || request.create || request.truncate) fail(ERRNO.ISDIR)
      return { kind: 'directory', directory: new MemoryDirectory(node) }
    }
    if (request.write || request.truncate) this.#assertWritable()
    if (request.truncate && node.size > 0) {
      node.setSize(0)
      node.touch()
    }
    return { kind: 'file', file: new MemoryFile(node, request.flags) }
  }

  readLink(name: string): string {
    const node = this.#existing(name)
    return node instanceof LinkNode ? node.target : fail(ERRNO.INVAL)
  }

  makeDirectory(name: string): void {
    this.#add(name, (volume) => new DirectoryNode(volume, this.#node))
  }

  makeLink(name: string, target: string): void {
    this.#add(name, (volume) => new LinkNode(volume, target))
  }

  remove(name: string): void {
    const node = this.#existing(name)
    if (node instanceof DirectoryNode) return fail(ERRNO.ISDIR)
    this.#assertWritable()
    this.#node.entries.delete(name)
    this.#node.touch()
    node.unlinked()
  }

  removeDirectory(name: string): void {
    const node = this.#existing(name)
    if (!(node instanceof DirectoryNode)) return fail(ERRNO.NOTDIR)
    this.#assertWritable()
    if (node.entries.size > 0) fail(ERRNO.NOTEMPTY)
    this.#node.entries.delete(name)
    this.#node.touch()
    node.removed()
  }

  linkTo(name: string, to: VirtualDirectory, toName: string): void {
    const node = this.#existing(name)
    const target = this.#sameVolume(to)
    if (node instanceof DirectoryNode) return fail(ERRNO.PERM)
    target.#put(toName, node)
    node.links += 1
    node.changedNs = target.#node.modifiedNs
  }

  renameTo(name: string, to: VirtualDirectory, toName: string): void {
    const target = this.#sameVolume(to)
    const node = this.#existing(name)
    this.#assertWritable()
    const replaced = target.#node.entries.get(toName)
    if (replaced === node) return
    if (node instanceof DirectoryNode) target.#assertOutside(node)
    if (replaced !== undefined) target.#makeWay(toName, node, replaced)
    target.#put(toName, node)
    this.#node.entries.delete(name)
    this.#node.touch()
    if (node instanceof DirectoryNode) node.parent = target.#node
  }

  #existing(name: string): MemoryNode {
    return this.#node.entries.get(name) ?? fail(ERRNO.NOENT)
  }

  #assertWritable(): void {
    if (this.isReadOnly) fail(ERRNO.ROFS)
  }

  #assertOutside(node: DirectoryNode): void {
    for (let at: DirectoryNode | undefined = this.#node; at !== undefined; at = at.parent) {
      if (at === node) fail(ERRNO.INVAL)
    }
  }

  #sameVolume(to: VirtualDirectory): MemoryDirectory {
    if (!(to instanceof MemoryDirectory)) return fail(ERRNO.XDEV)
    return to.#node.volume === this.#node.volume ? to : fail(ERRNO.XDEV)
  }

  /** Removes what `node` is about to replace, if it may. */
  #makeWay(name: string, node: MemoryNode, replaced: MemoryNode): void {
    const [from, onto] = [node instanceof DirectoryNode, replaced instanceof DirectoryNode]
    if (from && !onto) fail(ERRNO.NOTDIR)
    if (!from && onto) fail(ERRNO.ISDIR)
    if (onto) this.removeDirectory(name)
    else this.remove(name)
  }

  #add<N extends MemoryNode>(name: string, create: (volume: MemoryVolume) => N): N {
    this.#assertFree(name)
    const node = create(this.#node.volume)
    this.#put(name, node)
    return node
  }

  #put(name: string, node: MemoryNode): void {
    this.#assertFree(name)
    this.#node.entries.set(name, node)
    this.#node.touch()
  }

  #assertFree(name: string): void {
    if (this.#node.entries.has(name)) fail(ERRNO.EXIST)
    this.#assertWritable()
    if (this.#node.isRemoved) fail(ERRNO.NOENT)
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) fail(ERRNO.NAMETOOLONG)
  }
}

function directoryIn(parent: DirectoryNode, name: string): DirectoryNode {
  const existing = parent.entries.get(name)
  if (existing instanceof DirectoryNode) return existing
  assert(isName(name) && existing === undefined, `"${name}" is not a folder in a memory folder`)
  const made = new DirectoryNode(parent.volume, parent)
  parent.entries.set(name, made)
  return made
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('\0')
}
