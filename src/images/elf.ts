/**
 * What an ELF file says about how it wants to be loaded: reads headers, runs nothing.
 * Follows the System V ABI (gABI, "Program Loading and Dynamic Linking"); 64-bit little-endian files only.
 */

import { open, type FileHandle } from 'node:fs/promises'

import { QuiverError } from '../core/error.ts'

export interface Elf {
  /** As in OCI platforms; `unknown` for every other machine, and for what is not 64-bit little-endian. */
  readonly architecture: 'amd64' | 'arm64' | 'unknown'
  /** Absolute path of the dynamic loader; null for static programs and for libraries. */
  readonly interpreter: string | null
  /** Names of libraries, as DT_NEEDED lists them. */
  readonly needed: readonly string[]
  /** Folders of DT_RUNPATH, or of DT_RPATH where there is none; may hold `$ORIGIN`. */
  readonly libraryFolders: readonly string[]
}

const MAGIC = 0x7f454c46
const MACHINES: Readonly<Record<number, Elf['architecture']>> = { 62: 'amd64', 183: 'arm64' }
const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3 } as const
const DT = { NEEDED: 1, STRTAB: 5, STRSZ: 10, RPATH: 15, RUNPATH: 29 } as const
const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
/** No sane table is larger; a wrong size must not make us read gigabytes. */
const TABLE_BYTES_MAX = 16 * 1024 ** 2

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly bytes: number
}

/**
 * @returns undefined when the file is not ELF at all
 * @throws QuiverError `invalid_argument/ELF_INVALID` for a damaged one
 */
export async function readElf(path: string): Promise<Elf | undefined> {
  const file = await open(path)
  try {
    const start = Buffer.alloc(HEADER_BYTES)
    const { bytesRead } = await file.read(start, 0, HEADER_BYTES, 0)
    if (bytesRead < 4 || start.readUInt32BE(0) !== MAGIC) return undefined
    if (bytesRead < HEADER_BYTES) throw damaged(path)
    return await readHeaders(path, file, start)
  } finally {
    await file.close()
  }
}

/** The architecture of this machine, in the words of OCI. */
export function hostArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}

async function readHeaders(path: string, file: FileHandle, header: Buffer): Promise<Elf> {
  const isSupported = header[4] === 2 && header[5] === 1
  const architecture = isSupported ? MACHINES[header.readUInt16LE(18)] : undefined
  if (!architecture) {
    return { architecture: 'unknown', interpreter: null, needed: [], libraryFolders: [] }
  }
  if (header.readUInt16LE(54) !== PROGRAM_HEADER_BYTES) throw damaged(path)
  const read = reader(path, file)
  const offset = Number(header.readBigUInt64LE(32))
  const segments = parseSegments(await read(offset, header.readUInt16LE(56) * PROGRAM_HEADER_BYTES))

  const interp = segments.find(({ type }) => type === PT.INTERP)
  const interpreter = interp ? textAt(await read(interp.offset, interp.bytes), 0) : null
  const dynamic = segments.find(({ type }) => type === PT.DYNAMIC)
  if (!dynamic) return { architecture, interpreter, needed: [], libraryFolders: [] }

  const tags = parseDynamic(await read(dynamic.offset, dynamic.bytes))
  const first = (tag: number): number => tags.find(([t]) => t === tag)?.[1] ?? 0
  const address = first(DT.STRTAB)
  const holder = segments.find((s) => {
    return s.type === PT.LOAD && s.address <= address && address < s.address + s.bytes
  })
  if (!holder) throw damaged(path)
  const strings = await read(holder.offset + address - holder.address, first(DT.STRSZ))
  const texts = (tag: number): string[] => {
    return tags.filter(([t]) => t === tag).map(([, at]) => textAt(strings, at))
  }
  const runpath = texts(DT.RUNPATH)
  const folders = (runpath.length > 0 ? runpath : texts(DT.RPATH)).flatMap((t) => t.split(':'))
  return {
    architecture,
    interpreter,
    needed: texts(DT.NEEDED),
    libraryFolders: folders.filter((folder) => folder !== ''),
  }
}

function reader(path: string, file: FileHandle) {
  return async (offset: number, bytes: number): Promise<Buffer> => {
    if (!Number.isSafeInteger(offset) || bytes > TABLE_BYTES_MAX) throw damaged(path)
    const buffer = Buffer.alloc(bytes)
    const { bytesRead } = await file.read(buffer, 0, bytes, offset)
    if (bytesRead !== bytes) throw damaged(path)
    return buffer
  }
}

function parseSegments(table: Buffer): readonly Segment[] {
  const count = table.length / PROGRAM_HEADER_BYTES
  return Array.from({ length: count }, (_, index) => {
    const at = index * PROGRAM_HEADER_BYTES
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      bytes: Number(table.readBigUInt64LE(at + 32)),
    }
  })
}

function parseDynamic(table: Buffer): readonly (readonly [tag: number, value: number])[] {
  const tags: [number, number][] = []
  for (let at = 0; at + 16 <= table.length; at += 16) {
    const tag = Number(table.readBigInt64LE(at))
    if (tag === 0) break
    tags.push([tag, Number(table.readBigUInt64LE(at + 8))])
  }
  return tags
}

function textAt(buffer: Buffer, at: number): string {
  const end = buffer.indexOf(0, at)
  return buffer.toString('utf8', at, end === -1 ? buffer.length : end)
}

function damaged(path: string): QuiverError {
  return new QuiverError('invalid_argument', 'ELF_INVALID', `${path} is a damaged ELF file`, {
    hint: 'Build or copy it again.',
  })
}
