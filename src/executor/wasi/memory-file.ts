/** An open file of a memory volume. */

import { FD_FLAG } from './abi.ts'
import type { FileStat, Times, VirtualFile } from './directory.ts'
import { ERRNO, fail } from './errno.ts'
import { nowNs, statOfNode, type FileNode, type MemoryNode } from './memory-node.ts'

export class MemoryFile implements VirtualFile {
  readonly #node: FileNode
  #flags: number

  constructor(node: FileNode, flags: number) {
    this.#node = node
    this.#flags = flags
    node.opened()
  }

  stat(): FileStat {
    return statOfNode(this.#node)
  }

  read(target: Uint8Array, position: number): number {
    const { bytes, size } = this.#node
    const end = Math.min(size, position + target.byteLength)
    if (position >= end) return 0
    target.set(bytes.subarray(position, end))
    return end - position
  }

  write(bytes: Uint8Array, position: number): { readonly written: number; readonly end: number } {
    const node = this.#node
    this.#assertWritable()
    const start = (this.#flags & FD_FLAG.APPEND) === 0 ? position : node.size
    // Like a file system that is nearly full, take what fits.
    const room = node.size + node.volume.bytesFree - start
    const part = bytes.subarray(0, Math.max(0, room))
    if (part.byteLength === 0 && bytes.byteLength > 0) fail(ERRNO.NOSPC)
    const end = start + part.byteLength
    if (end > node.size) node.setSize(end)
    node.bytes.set(part, start)
    node.touch()
    return { written: part.byteLength, end }
  }

  setSize(bytes: number): void {
    this.#assertWritable()
    this.#node.setSize(bytes)
    this.#node.touch()
  }

  allocate(offset: number, bytes: number): void {
    this.#assertWritable()
    if (offset + bytes > this.#node.size) this.setSize(offset + bytes)
  }

  setTimes(times: Times): void {
    setTimesOfNode(this.#node, times)
  }

  setFlags(flags: number): void {
    this.#flags = flags
  }

  sync(): undefined {
    return undefined
  }

  close(): void {
    this.#node.closed()
  }

  #assertWritable(): void {
    if (this.#node.volume.isReadOnly) fail(ERRNO.ROFS)
  }
}

export function setTimesOfNode(node: MemoryNode, times: Times): void {
  if (node.volume.isReadOnly) fail(ERRNO.ROFS)
  node.changedNs = nowNs()
  node.accessedNs =
    times.accessedNs === 'now' ? node.changedNs : (times.accessedNs ?? node.accessedNs)
  node.modifiedNs =
    times.modifiedNs === 'now' ? node.changedNs : (times.modifiedNs ?? node.modifiedNs)
}
