/** A WebAssembly module or component as a binary. What it can do is judged elsewhere: this only knows that it is one. */

import { open, stat } from 'node:fs/promises'

import { hexOf } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import type { BuiltBinary } from './elf-binary.ts'
import { digestOfFile } from './files.ts'

/** In the tree. */
const FILE = 'module.wasm'
/** The four bytes that every module begins with, then the version of modules, or of components. */
const MAGIC = '0061736d'
const PLATFORMS: Readonly<Record<string, string>> = {
  '01000000': 'wasip1/wasm',
  '0d000100': 'wasip2/wasm',
}
const BYTES_MAX = 256 * 1024 * 1024

/** Whether a binary is WebAssembly, by its platform (as OCI images of WebAssembly have it). */
export function isWasm(platform: string): boolean {
  return platform.endsWith('/wasm')
}

/**
 * @param file  absolute path
 * @throws QuiverError `not_found/HOST_FILE_MISSING`, `invalid_argument/MODULE_INVALID`, `invalid_argument/MODULE_TOO_LARGE`
 */
export async function wasmBinary(file: string, name: string): Promise<BuiltBinary> {
  const status = await stat(file).catch((cause: unknown) => {
    const hint = 'Build it first, or correct its path.'
    throw new QuiverError('not_found', 'HOST_FILE_MISSING', `there is no file ${file}`, {
      hint,
      cause,
    })
  })
  if (status.size > BYTES_MAX) {
    const message = `${file} has ${status.size} bytes; a module may have ${BYTES_MAX}`
    const hint = 'Strip it, or keep its data in files of the image.'
    throw new QuiverError('invalid_argument', 'MODULE_TOO_LARGE', message, { hint })
  }
  const platform = PLATFORMS[await readVersion(file)]
  if (platform === undefined) {
    throw new QuiverError('invalid_argument', 'MODULE_INVALID', `${file} is not WebAssembly`, {
      hint: 'Name a module or a component in its binary form; "wat2wasm" makes one of its text form.',
    })
  }
  const digest = await digestOfFile(file, status.size)
  const version = hexOf(digest).slice(0, 12)
  const entry = {
    kind: 'file',
    path: FILE,
    digest,
    bytes: status.size,
    isExecutable: true,
  } as const
  const facts = { name, version, platform, entry: `/${FILE}`, env: {}, tree: [entry] }
  return { config: { schema: 1, kind: 'binary', ...facts }, sources: new Map([[digest, file]]) }
}

/** In hexadecimal digits; empty for what does not begin as a module does. */
async function readVersion(file: string): Promise<string> {
  await using handle = await open(file)
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(8), 0, 8, 0)
  const hex = buffer.toString('hex', 0, bytesRead)
  return hex.startsWith(MAGIC) ? hex.slice(MAGIC.length) : ''
}
