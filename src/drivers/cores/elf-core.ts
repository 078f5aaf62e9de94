/**
 * What an ELF core dump says of itself: its program, the files that were mapped, their build ids, and whether it is whole. Reads
 * a few small pieces of it. The dump comes from inside a machine: its lengths and places are bounds to check, never to trust.
 *
 * @see elf(5), core(5) and fs/binfmt_elf.c of Linux for NT_FILE
 */

import type { FileHandle } from 'node:fs/promises'

/** A file of the machine that was mapped from its beginning. */
export interface CoreModule {
  /** Inside. */
  readonly path: string
  /** Hexadecimal; null: it has none, or its first page is not in the dump. */
  readonly buildId: string | null
}

export interface CoreFacts {
  /** The module that was executed; null: it is not known. */
  readonly program: CoreModule | null
  readonly modules: readonly CoreModule[]
  /** Less is there than its headers promise. */
  readonly isTruncated: boolean
}

const UNKNOWN: CoreFacts = { program: null, modules: [], isTruncated: true }

const PAGE_BYTES = 4096
const EHDR_BYTES = 64
const PHDR_BYTES = 56
const PT_LOAD = 1
const PT_NOTE = 4
const NT_AUXV = 6
const NT_FILE = 0x46_49_4c_45
const NT_GNU_BUILD_ID = 3
const AT_ENTRY = 9n
const NOTES_BYTES_MAX = 8 * 1024 * 1024
const MODULES_MAX = 64
const PATH_LENGTH_MAX = 4096
const BUILD_ID_BYTES_MAX = 64

/**
 * @param start  where the dump begins in the file
 * @returns      with what could not be read left out; never throws for what the dump says
 */
export async function readCoreFacts(file: FileHandle, start: number): Promise<CoreFacts> {
  const read = readerOf(file, start)
  const header = await read(0, EHDR_BYTES)
  const segments = parseSegments(header, await readProgramHeaders(read, header))
  if (segments === undefined) return UNKNOWN
  const { size } = await file.stat()
  const isTruncated =
    segments.length < header.readUInt16LE(56) ||
    segments.some(({ offset, bytes }) => start + offset + bytes > size)
  const notes = segments.find(({ type }) => type === PT_NOTE)
  if (notes === undefined) return { ...UNKNOWN, isTruncated }
  const parsed = [
    ...parseNotes(await read(notes.offset, Math.min(notes.bytes, NOTES_BYTES_MAX)), 4),
  ]
  const mappings = parseMappings(parsed.find(({ type }) => type === NT_FILE)?.content)
  const entry = parseEntry(parsed.find(({ type }) => type === NT_AUXV)?.content)
  const firsts = mappings.filter(({ isFirst }) => isFirst).slice(0, MODULES_MAX)
  const modules = await Promise.all(
    firsts.map(async ({ path, from }) => ({
      path,
      buildId: await readBuildId(read, segments, from),
    })),
  )
  const own = mappings.find(({ from, to }) => entry !== undefined && from <= entry && entry < to)
  const program = modules.find(({ path }) => path === own?.path) ?? null
  return { program, modules, isTruncated }
}

type Read = (offset: number, bytes: number) => Promise<Buffer>

/** What is beyond the end is not in the result. */
function readerOf(file: FileHandle, start: number): Read {
  return async (offset, bytes) => {
    if (!Number.isSafeInteger(start + offset)) return Buffer.alloc(0)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, start + offset)
    return buffer.subarray(0, bytesRead)
  }
}

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: bigint
  readonly bytes: number
}

async function readProgramHeaders(read: Read, header: Buffer): Promise<Buffer> {
  if (header.length < EHDR_BYTES) return Buffer.alloc(0)
  return await read(Number(header.readBigUInt64LE(32)), header.readUInt16LE(56) * PHDR_BYTES)
}

/** Of a 64-bit little-endian ELF file; undefined: it is none. */
function parseSegments(header: Buffer, table: Buffer): readonly Segment[] | undefined {
  const is64BitLittleEndian = header.subarray(0, 6).toString('latin1') === '\x7fELF\x02\x01'
  if (header.length < EHDR_BYTES || !is64BitLittleEndian) return undefined
  if (header.readUInt16LE(54) !== PHDR_BYTES) return undefined
  const count = Math.min(header.readUInt16LE(56), Math.floor(table.length / PHDR_BYTES))
  return Array.from({ length: count }, (_, index) => {
    const one = table.subarray(index * PHDR_BYTES)
    return {
      type: one.readUInt32LE(0),
      offset: Number(one.readBigUInt64LE(8)),
      address: one.readBigUInt64LE(16),
      bytes: Number(one.readBigUInt64LE(32)),
    }
  })
}

interface Note {
  readonly type: number
  readonly name: string
  readonly content: Buffer
}

function* parseNotes(notes: Buffer, alignment: number): Generator<Note> {
  const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment
  for (let at = 0; at + 12 <= notes.length;) {
    const [nameBytes, bytes] = [notes.readUInt32LE(at), notes.readUInt32LE(at + 4)]
    const begin = at + 12 + aligned(nameBytes)
    if (begin + bytes > notes.length) return
    yield {
      type: notes.readUInt32LE(at + 8),
      name: notes.toString('latin1', at + 12, at + 12 + nameBytes).replace(/\0+$/, ''),
      content: notes.subarray(begin, begin + bytes),
    }
    at = begin + aligned(bytes)
  }
}

interface Mapping {
  readonly path: string
  readonly from: bigint
  readonly to: bigint
  /** Of its file. */
  readonly isFirst: boolean
}

/** NT_FILE: a count, the size of a page, three numbers for each mapping, and then their names. */
function parseMappings(content: Buffer | undefined): readonly Mapping[] {
  if (content === undefined || content.length < 16) return []
  const count = Number(content.readBigUInt64LE(0))
  const namesAt = 16 + count * 24
  if (namesAt > content.length) return []
  const names = content.toString('utf8', namesAt).split('\0')
  return Array.from({ length: count }, (_, index) => {
    const at = 16 + index * 24
    return {
      path: (names[index] ?? '').slice(0, PATH_LENGTH_MAX),
      from: content.readBigUInt64LE(at),
      to: content.readBigUInt64LE(at + 8),
      isFirst: content.readBigUInt64LE(at + 16) === 0n,
    }
  })
}

/** The address at which the program was begun. */
function parseEntry(content: Buffer = Buffer.alloc(0)): bigint | undefined {
  for (let at = 0; at + 16 <= content.length; at += 16) {
    if (content.readBigUInt64LE(at) === AT_ENTRY) return content.readBigUInt64LE(at + 8)
  }
  return undefined
}

/** Of the module whose first page was mapped there: the kernel dumps that page for this very purpose. */
async function readBuildId(
  read: Read,
  segments: readonly Segment[],
  address: bigint,
): Promise<string | null> {
  const first = segments.find((one) => one.type === PT_LOAD && one.address === address)
  if (first === undefined) return null
  const page = await read(first.offset, Math.min(first.bytes, PAGE_BYTES))
  const table = page.length < EHDR_BYTES ? page : page.subarray(Number(page.readBigUInt64LE(32)))
  for (const { type, offset, bytes } of parseSegments(page, table) ?? []) {
    if (type !== PT_NOTE) continue
    const notes = [...parseNotes(page.subarray(offset, offset + bytes), 4)]
    const found = notes.find(({ type: id, name }) => id === NT_GNU_BUILD_ID && name === 'GNU')
    if (found !== undefined) return found.content.subarray(0, BUILD_ID_BYTES_MAX).toString('hex')
  }
  return null
}
