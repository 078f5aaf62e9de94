/** Puts what every instance of a node needs where any uid can read it. */

import { constants } from 'node:fs'
import {
  access,
  chmod,
  copyFile,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'

import type { Bridge } from '../bridge.ts'
import type { Cores } from '../cores.ts'

import { diskError } from './disk.ts'
import { ETC_FILES } from './etc.ts'

/** What is the same for every instance of a node. */
export interface ProcessHost {
  /** Where instance folders are made. */
  readonly instancesFolder: string
  /** Where control sockets are bound; its length counts towards the 107 bytes of a socket path. */
  readonly socketFolder: string
  /** Copies of ainit and busybox that any uid can read. */
  readonly ainitPath: string
  /** Holds `ETC_FILES`. */
  readonly etcFolder: string
  /** Lent to `exec` sessions; null: none on this host. */
  readonly busyboxPath: string | null
  readonly bwrapPath: string
  /** Holds `egress.sock`, and nothing else: instances keep the folder open, and a new node binds a new socket in it. */
  readonly egressFolder: string
  /** First uid of the node's range for tasks; null: everything runs as the user of this process. */
  readonly uidBase: number | null
  /** Group that may open streams to instances; null: only this process's user. */
  readonly streamGid: number | null
  /** Null: nothing here is ever on one. */
  readonly bridge: Bridge | null
  /** Takes the core dumps that instances write; null: none do. */
  readonly cores: Cores | null
}

const BUSYBOX_PATHS = ['/bin/busybox', '/usr/bin/busybox', '/bin/busybox.static']
const BWRAP_PATHS = ['/usr/bin/bwrap', '/bin/bwrap', '/usr/local/bin/bwrap']

/**
 * Copies ainit and the busybox to lend into `folder`. The checkout or package they come from may be below a
 * private folder, where bwrap, running as the task's uid, could not reach them.
 */
export async function installProcessHost(options: {
  readonly dataFolder: string
  readonly runFolder: string
  readonly ainitPath: string
  readonly uidBase: number | null
  readonly streamGid: number | null
}): Promise<ProcessHost> {
  const folder = path.join(options.dataFolder, 'bin')
  const etcFolder = path.join(folder, 'etc')
  await mkdir(etcFolder, { recursive: true, mode: 0o755 })
  for (const [name, content] of Object.entries(ETC_FILES)) {
    await writeText(path.join(etcFolder, name), content)
  }
  const busybox = await firstExecutable(BUSYBOX_PATHS)
  return {
    instancesFolder: path.join(options.dataFolder, 'instances'),
    socketFolder: path.join(options.runFolder, 'i'),
    ainitPath: await install(options.ainitPath, path.join(folder, 'ainit')),
    etcFolder,
    busyboxPath: busybox === null ? null : await install(busybox, path.join(folder, 'busybox')),
    bwrapPath: (await firstExecutable(BWRAP_PATHS)) ?? 'bwrap',
    egressFolder: path.join(options.runFolder, 'e'),
    uidBase: options.uidBase,
    streamGid: options.streamGid,
    bridge: null,
    cores: null,
  }
}

/**
 * What is there already stays: control starts again on a full disk too. Of the same size and time is the same, as for make.
 */
async function install(source: string, target: string): Promise<string> {
  const wanted = await stat(source)
  const present = await stat(target).catch(() => undefined)
  const isSame = present?.size === wanted.size && present.mtime.getTime() === wanted.mtime.getTime()
  if (isSame) return target
  return await replace(target, async (temporary) => {
    await copyFile(source, temporary)
    await chmod(temporary, 0o555)
    await utimes(temporary, wanted.atime, wanted.mtime)
  })
}

async function writeText(target: string, content: string): Promise<void> {
  const present = await readFile(target, 'utf8').catch(() => undefined)
  if (present === content) return
  await replace(target, (temporary) => writeFile(temporary, content, { mode: 0o644 }))
}

/** By rename: running instances keep the file they were started with, and nobody ever sees half of one. */
async function replace(
  target: string,
  write: (temporary: string) => Promise<void>,
): Promise<string> {
  const temporary = `${target}.${process.pid}`
  try {
    await write(temporary)
    await rename(temporary, target)
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw diskError(thrown, target)
  }
  return target
}

async function firstExecutable(paths: readonly string[]): Promise<string | null> {
  for (const candidate of paths) {
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return candidate
  }
  return null
}
