/**
 * Folders as guests see them: the files of their image, read-only, the same for all requests, below `/app` and below `/`; and those of the
 * host that a run shares with its module.
 */

import { readdirSync } from 'node:fs'

import type { FileSize, SharedFolder } from '../protocol.ts'
import {
  buildMemoryDirectory,
  openHostDirectory,
  type Preopen,
  type VirtualDirectory,
} from '../wasi.ts'

/** Files that came over the control port: executors that several modules share see no files themselves. */
export interface PackedFiles {
  readonly bytes: SharedArrayBuffer
  /** One after the other in `bytes`. */
  readonly files: readonly FileSize[]
}

/** Where the image is mounted, in a sandbox of the module's own. */
const IMAGE_FOLDER = '/app'
const NONE: readonly Preopen[] = []

/** @param packed  null: what is mounted in this process's own sandbox, if anything is */
export function openFolders(packed: PackedFiles | null): readonly Preopen[] {
  const directory = packed === null ? openMounted() : unpack(packed)
  if (directory === null) return NONE
  // A libc begins in `/`: names without a folder are looked up there.
  return [
    { name: IMAGE_FOLDER, directory },
    { name: '/', directory },
  ]
}

/**
 * Of a run: those of its image, and those that it shares, which take the place of the image's under the same name. Which of two folders
 * of one name is meant, each libc would say in its own way.
 *
 * @throws the system's error where one cannot be opened
 */
export function openRunFolders(shared: readonly SharedFolder[]): readonly Preopen[] {
  const names = new Set(shared.map(({ name }) => name))
  const opened = shared.map(({ name, path, isWritable }) => ({
    name,
    directory: openHostDirectory(path, { isReadOnly: !isWritable }),
  }))
  return [...openFolders(null).filter(({ name }) => !names.has(name)), ...opened]
}

/** Shared by all threads, whichever serves the module. @param bytes  of all files, one after the other */
export function packFiles(files: readonly FileSize[], bytes: Uint8Array): PackedFiles {
  const shared = new SharedArrayBuffer(bytes.length)
  new Uint8Array(shared).set(bytes)
  return { bytes: shared, files }
}

function unpack({ bytes, files }: PackedFiles): VirtualDirectory | null {
  if (files.length === 0) return null
  let at = 0
  const contents = files.map(({ path, length }) => {
    const content = new Uint8Array(bytes, at, length)
    at += length
    return [path, content] as const
  })
  return buildMemoryDirectory(new Map(contents))
}

function openMounted(): VirtualDirectory | null {
  try {
    if (readdirSync(IMAGE_FOLDER).length === 0) return null
    return openHostDirectory(IMAGE_FOLDER, { isReadOnly: true })
  } catch {
    // A program that runs outside of a sandbox.
    return null
  }
}
