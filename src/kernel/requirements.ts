/** What building a kernel takes of this machine. Looks only. */

import { access, constants } from 'node:fs/promises'
import path from 'node:path'

export interface Requirement {
  readonly name: string
  /** Any of these. */
  readonly paths: readonly string[]
  /** The Debian package that has it. */
  readonly package: string
}

/** The source: 140 MB, and 1.4 GB while a kernel is built. */
export const SOURCE: Requirement = {
  name: 'the source of Linux 6.1',
  paths: ['/usr/src/linux-source-6.1.tar.xz'],
  package: 'linux-source-6.1',
}

const REQUIREMENTS: readonly Requirement[] = [
  SOURCE,
  program('gcc', 'gcc'),
  program('ld', 'binutils'),
  program('make', 'make'),
  program('flex', 'flex'),
  program('bison', 'bison'),
  program('bc', 'bc'),
  program('patch', 'patch'),
  program('perl', 'perl'),
  program('tar', 'tar'),
  program('xz', 'xz-utils'),
  program('zstd', 'zstd'),
  program('bwrap', 'bubblewrap'),
  { name: 'the headers of libelf', paths: ['/usr/include/libelf.h'], package: 'libelf-dev' },
  { name: 'the headers of C', paths: ['/usr/include/stdio.h'], package: 'libc6-dev' },
]

/** @param source  another source than the package's; null: the package's */
export async function findMissing(source: string | null): Promise<readonly Requirement[]> {
  const own =
    source === null ? SOURCE : { ...SOURCE, name: `${source}, ${SOURCE.name}`, paths: [source] }
  const wanted = REQUIREMENTS.map((one) => (one === SOURCE ? own : one))
  const isThere = await Promise.all(wanted.map(isPresent))
  return wanted.filter((_, index) => isThere[index] === false)
}

async function isPresent({ paths }: Requirement): Promise<boolean> {
  const found = await Promise.all(paths.map(isReadable))
  return found.includes(true)
}

function program(name: string, from: string): Requirement {
  const folders = ['/usr/local/bin', '/usr/bin', '/bin']
  return { name, paths: folders.map((folder) => path.join(folder, name)), package: from }
}

async function isReadable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}
