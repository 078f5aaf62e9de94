/** Any ELF program of this machine as a binary, with the libraries it needs: one's own server, or a tool by its path. */

import { existsSync } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'

import { hexOf } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'

import { hostArchitecture, readElf, type Elf } from './elf.ts'
import { HostTree } from './host-tree.ts'
import type { BinaryConfig, Sources } from './images.ts'

/** The authorities that this machine trusts, where it has them. */
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/** A binary that is described but not stored yet: `putSources`, then `putBinary`. */
export interface BuiltBinary {
  readonly config: BinaryConfig
  readonly sources: Sources
}

/**
 * Its version is the beginning of the program's digest: what is built again is another version.
 *
 * @param file  absolute path
 * @throws QuiverError `not_found/HOST_FILE_MISSING`, `invalid_argument/ELF_INVALID` (a script, another format, another
 *   architecture, not executable), `failed_precondition/LIBRARY_MISSING`
 */
export async function elfBinary(file: string, name: string): Promise<BuiltBinary> {
  const elf = await readProgram(file)
  const entry = `/usr/bin/${path.basename(file)}`
  const host = new HostTree()
  await host.addAs(file, entry)
  const [lost] = await host.addLibraries(elf.architecture, [])
  if (lost) {
    const message = `${lost.neededBy} needs the library ${lost.name}, which this machine does not have`
    throw new QuiverError('failed_precondition', 'LIBRARY_MISSING', message, {
      hint: 'Install the library, or link the program statically.',
    })
  }
  // Programs that speak TLS expect it there, and know no other place.
  if (existsSync(CERTIFICATES)) await host.add(CERTIFICATES)
  const { tree, sources } = await host.build()
  const program = tree.find((one) => `/${one.path}` === entry)
  const version = program?.kind === 'file' ? hexOf(program.digest).slice(0, 12) : 'unknown'
  const platform = `linux/${elf.architecture}`
  const config = {
    schema: 1,
    kind: 'binary',
    name,
    version,
    platform,
    entry,
    env: {},
    tree,
  } as const
  return { config, sources }
}

async function readProgram(file: string): Promise<Elf> {
  const status = await stat(file).catch(async (cause: unknown) => {
    const hint = await suggestFile(file)
    throw new QuiverError('not_found', 'HOST_FILE_MISSING', `there is no file ${file}`, {
      hint,
      cause,
    })
  })
  if (!status.isFile()) throw invalid(`${file} is not a file`, 'Name the program itself.')
  const elf = await readElf(file)
  if (!elf) throw await explained(file)
  if (elf.architecture !== hostArchitecture()) {
    const built = elf.architecture === 'unknown' ? 'another kind of machine' : elf.architecture
    const message = `${file} is built for ${built}; this machine is ${hostArchitecture()}`
    throw invalid(message, `Build it for linux/${hostArchitecture()}.`)
  }
  if ((status.mode & 0o111) !== 0) return elf
  throw invalid(`${file} is not executable`, `Run "chmod +x ${file}".`)
}

async function suggestFile(file: string): Promise<string> {
  const names = await readdir(path.dirname(file)).catch(() => [])
  const nearest = nearestName(path.basename(file), names)
  return nearest === undefined
    ? 'Build it first, or correct its path.'
    : `Did you mean "${nearest}"?`
}

async function explained(file: string): Promise<QuiverError> {
  const handle = await open(file)
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0)
    if (bytesRead === 2 && buffer.toString('latin1') === '#!') {
      const hint =
        'Set "runtime" to its interpreter, such as "node" or "python3", and "command" to the script.'
      return invalid(`${file} is a script, not an ELF program`, hint)
    }
  } finally {
    await handle.close()
  }
  return invalid(
    `${file} is not an ELF program`,
    'Name a program that was built for Linux; for a script set "runtime" and "command".',
  )
}

function invalid(message: string, hint: string): QuiverError {
  return new QuiverError('invalid_argument', 'ELF_INVALID', message, { hint })
}
