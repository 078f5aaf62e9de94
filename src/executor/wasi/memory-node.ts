/**
 * Files, directories and links that live in memory, and the volume that counts what they take.
 *
 * A read-only volume is made once for an image and shared by all requests; a
 * scratch volume belongs to one guest and ends with it.
 */

import { FILE_TYPE } from './abi.ts'
import type { FileStat } from './directory.ts'
import { ERRNO, fail } from './errno.ts'

export type MemoryNode = FileNode | DirectoryNode | LinkNode

export interface VolumeLimits {
  readonly bytesMax: number
  /** Files, directories and links together. */
  readonly nodesMax: number
}

let volumes = 0n

export class MemoryVolume {
  readonly device: bigint
  readonly isReadOnly: boolean
  readonly #limits: VolumeLimits
  #bytes = 0
  #nodes = 0
  #inodes = 0n

  constructor(limits: VolumeLimits | undefined) {
    volumes += 1n
    this.device = volumes
    this.isReadOnly = limits === undefined
    this.#limits = limits ?? { bytesMax: Infinity, nodesMax: Infinity }
  }

  get bytesFree(): number {
    return this.#limits.bytesMax - this.#bytes
  }

  /** Counts `bytes` more, or fewer. Throws `NOSPC`. */
  take(bytes: number): void {
    if (bytes > this.bytesFree) fail(ERRNO.NOSPC)
    this.#bytes += bytes
  }

  /** Counts a new node and numbers it. Throws `NOSPC`. */
  takeNode(): bigint {
    if (this.#nodes >= this.#limits.nodesMax) fail(ERRNO.NOSPC)
    this.#nodes += 1
    this.#inodes += 1n
    return this.#inodes
  }

  releaseNode(): void {
    this.#nodes -= 1
  }
}

abstract class Node {
  readonly volume: MemoryVolume
  readonly inode: bigint
  accessedNs: bigint
  modifiedNs: bigint
  changedNs: bigint

  constructor(volume: MemoryVolume) {
    this.volume = volume
    this.inode = volume.takeNode()
    // What is in an image has no time: the same image must look the same everywhere.
    const now = volume.isReadOnly ? 0n : nowNs()
    this.accessedNs = now
    this.modifiedNs = now
    this.changedNs = now
  }

  touch(): void {
    this.modifiedNs = nowNs()
    this.changedNs = this.modifiedNs
  }
}

export class FileNode extends Node {
  readonly type = FILE_TYPE.REGULAR_FILE
  /** Room for at least `size` bytes; what is behind them is zero. */
  bytes: Uint8Array
  size: number
  links = 1
  #open = 0

  constructor(volume: MemoryVolume, bytes: Uint8Array = new Uint8Array(0)) {
    super(volume)
    this.bytes = bytes
    this.size = bytes.byteLength
  }

  /** Grows or shrinks the file; new bytes are zero. Throws `NOSPC`. */
  setSize(size: number): void {
    this.volume.take(size - this.size)
    if (size > this.bytes.byteLength) this.#grow(size)
    else if (size < this.size) this.#shrink(size)
    this.size = size
  }

  opened(): void {
    this.#open += 1
  }

  closed(): void {
    this.#open -= 1
    this.#releaseIfUnused()
  }

  unlinked(): void {
    this.links -= 1
    this.changedNs = nowNs()
    this.#releaseIfUnused()
  }

  #grow(size: number): void {
    const roomMax = size + this.volume.bytesFree
    const bytes = new Uint8Array(Math.min(Math.max(size, this.bytes.byteLength * 2), roomMax))
    bytes.set(this.bytes.subarray(0, this.size))
    this.bytes = bytes
  }

  #shrink(size: number): void {
    if (size < this.bytes.byteLength / 4) this.bytes = this.bytes.slice(0, size)
    else this.bytes.fill(0, size, this.size)
  }

  #releaseIfUnused(): void {
    if (this.volume.isReadOnly || this.links > 0 || this.#open > 0) return
    this.volume.take(-this.size)
    this.volume.releaseNode()
    this.bytes = new Uint8Array(0)
    this.size = 0
    this.links = -1
  }
}

export class DirectoryNode extends Node {
  readonly type = FILE_TYPE.DIRECTORY
  readonly entries = new Map<string, MemoryNode>()
  /** Undefined for the root, and once the directory was removed. */
  parent: DirectoryNode | undefined
  isRemoved = false

  constructor(volume: MemoryVolume, parent: DirectoryNode | undefined) {
    super(volume)
    this.parent = parent
  }

  removed(): void {
    this.isRemoved = true
    this.parent = undefined
    this.volume.releaseNode()
  }
}

export class LinkNode extends Node {
  readonly type = FILE_TYPE.SYMBOLIC_LINK
  readonly target: string
  links = 1

  constructor(volume: MemoryVolume, target: string) {
    super(volume)
    this.target = target
  }

  unlinked(): void {
    this.links -= 1
    if (this.links === 0) this.volume.releaseNode()
  }
}

export function statOfNode(node: MemoryNode): FileStat {
  return {
    device: node.volume.device,
    inode: node.inode,
    type: node.type,
    links: node instanceof DirectoryNode ? 1n : BigInt(Math.max(node.links, 0)),
    bytes: BigInt(sizeOf(node)),
    accessedNs: node.accessedNs,
    modifiedNs: node.modifiedNs,
    changedNs: node.changedNs,
  }
}

export function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n
}

function sizeOf(node: MemoryNode): number {
  if (node instanceof FileNode) return node.size
  return node instanceof LinkNode ? Buffer.byteLength(node.target) : 0
}
