/**
 * The binary that runs microVMs: this machine's QEMU with its libraries and its one firmware file, and nothing else of the machine.
 * It is the root file system of the process that a guest may break out into.
 */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

import { QuiverError } from '../core/error.ts'

import { errno } from './durable.ts'
import type { BuiltBinary } from './elf-binary.ts'
import { hostArchitecture, readElf } from './elf.ts'
import { HostTree } from './host-tree.ts'
import { fingerprintOf, OwnBinary, type OwnImages, type OwnTree } from './own-binary.ts'

const run = promisify(execFile)

const NAME = 'machine'
const PROGRAM = '/usr/bin/qemu-system-x86_64'
/** What starts the kernel, by its path on this machine: QEMU looks for it beside its program. */
const FIRMWARE = '/usr/share/qemu/qboot.rom'
/** The translator of emulated guests, where it is not in the program itself. */
const TRANSLATOR = '/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so'
/** Changes whenever a library is installed or replaced. */
const LIBRARY_CACHE = '/etc/ld.so.cache'
/** Preloaded: see native/vmm. */
const PRIVATE_MEMORY = '/usr/lib/quiver/private-memory.so'
/** An empty folder of the tree, over which a machine's files are mounted. */
export const MACHINE_FOLDER = '/machine'
const VERSION_TIMEOUT_MS = 10_000
const PACKAGES = 'qemu-system-x86'

export class MachineBinary {
  readonly #binary: OwnBinary

  constructor(images: OwnImages) {
    const build = path.resolve(import.meta.dirname, '../../native/build')
    const library = path.join(build, path.basename(PRIVATE_MEMORY))
    this.#binary = new OwnBinary(images, {
      name: NAME,
      fingerprint: () => fingerprint(library),
      build: (print) => buildTree(library, print),
    })
  }

  /**
   * Its tree and its version, which changes with every file of it: templates of another version are of no use.
   *
   * @throws QuiverError `not_found/HOST_FILE_MISSING` when QEMU is not installed, `failed_precondition/LIBRARY_MISSING`,
   *   `failed_precondition/NATIVE_MISSING`
   */
  async tree(): Promise<OwnTree> {
    return await this.#binary.tree()
  }
}

async function fingerprint(library: string): Promise<string> {
  await requireFile(library, () => {
    return new QuiverError('failed_precondition', 'NATIVE_MISSING', `${library} is missing`, {
      hint: 'Run "npm run build:native".',
    })
  })
  for (const file of [PROGRAM, FIRMWARE]) await requireFile(file, () => notInstalled(file))
  const files = [PROGRAM, FIRMWARE, library]
  if (existsSync(TRANSLATOR)) files.push(TRANSLATOR)
  return await fingerprintOf(files, await libraryCache())
}

/** Empty where the loader has none. */
async function libraryCache(): Promise<string> {
  return await fingerprintOf([LIBRARY_CACHE], '').catch(() => '')
}

async function requireFile(file: string, missing: () => QuiverError): Promise<void> {
  try {
    await fingerprintOf([file], '')
  } catch (thrown) {
    throw errno(thrown) === 'ENOENT' ? missing() : thrown
  }
}

async function buildTree(library: string, print: string): Promise<BuiltBinary> {
  const host = new HostTree()
  await host.add(PROGRAM)
  await host.add(FIRMWARE)
  if (existsSync(TRANSLATOR)) await host.add(TRANSLATOR)
  const elf = await readElf(PROGRAM)
  const [lost] = await host.addLibraries(elf?.architecture ?? 'unknown', [])
  if (lost) {
    const message = `${lost.neededBy} needs the library ${lost.name}, which this machine does not have`
    throw new QuiverError('failed_precondition', 'LIBRARY_MISSING', message, {
      hint: `Reinstall it with "apt-get install --reinstall ${PACKAGES}".`,
    })
  }
  await host.addAs(library, PRIVATE_MEMORY)
  host.text('/etc/ld.so.preload', `${PRIVATE_MEMORY}\n`)
  host.folder(MACHINE_FOLDER)
  const { tree, sources } = await host.build()
  const facts = {
    name: NAME,
    version: `${await qemuVersion()}-${print}`,
    platform: `linux/${hostArchitecture()}`,
    entry: PROGRAM,
    env: {},
    tree,
  }
  return { config: { schema: 1, kind: 'binary', ...facts }, sources }
}

async function qemuVersion(): Promise<string> {
  const { stdout } = await run(PROGRAM, ['--version'], { env: {}, timeout: VERSION_TIMEOUT_MS })
  return /version (\d+(?:\.\d+)+)/.exec(stdout)?.[1] ?? 'unknown'
}

function notInstalled(file: string): QuiverError {
  const message = `QEMU is not installed on this machine: there is no ${file}`
  return new QuiverError('not_found', 'HOST_FILE_MISSING', message, {
    hint: `Install it with "apt-get install --no-install-recommends ${PACKAGES}".`,
  })
}
