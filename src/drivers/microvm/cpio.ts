/** Archives in the "new ASCII" format of cpio(5), which the kernel unpacks as its first root file system. Pure. */

import { assert } from '../../core/assert.ts'

export type CpioEntry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly bytes: Uint8Array
    }
  /** A character device. */
  | {
      readonly kind: 'device'
      readonly path: string
      readonly mode: number
      readonly major: number
      readonly minor: number
    }

const TYPES = { folder: 0o040000, file: 0o100000, device: 0o020000 } as const
/** Of names, each with its header, and of contents. */
const ALIGNMENT = 4
const TRAILER = 'TRAILER!!!'

/** Equal entries give equal bytes: no time, no user, inodes by their order. @param entries  folders before what is in them */
export function buildCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => {
    const bytes = entry.kind === 'file' ? entry.bytes : new Uint8Array()
    const device = entry.kind === 'device' ? entry : { major: 0, minor: 0 }
    const mode = TYPES[entry.kind] | entry.mode
    return [buildHeader(entry.path, index + 1, mode, bytes.length, device), padded(bytes)]
  })
  return Buffer.concat([...parts, buildHeader(TRAILER, 0, 0, 0, { major: 0, minor: 0 })])
}

function buildHeader(
  name: string,
  inode: number,
  mode: number,
  bytes: number,
  device: { readonly major: number; readonly minor: number },
): Buffer {
  assert(!name.startsWith('/') && !name.includes('\0'), `not a name in an archive: ${name}`)
  const nameBytes = Buffer.byteLength(name) + 1
  const [uid, gid, links, time, checksum] = [0, 0, 1, 0, 0]
  const status = [inode, mode, uid, gid, links, time, bytes]
  const fields = [...status, 0, 0, device.major, device.minor, nameBytes, checksum]
  const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('')
  return padded(Buffer.from(`070701${digits}${name}\0`))
}

function padded(bytes: Uint8Array): Buffer {
  const missing = (ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT
  return Buffer.concat([bytes, Buffer.alloc(missing)])
}
