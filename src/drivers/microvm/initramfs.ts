/**
 * The first root file system of a guest: ainit as its first process, and places to mount on. It is independent of the kernel, so
 * that neither is built anew for the other.
 */

import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'

import { digestOf, hexOf } from '../../core/digest.ts'
import { diskError } from '../process.ts'

import { buildCpio, type CpioEntry } from './cpio.ts'

const NAME = /^initramfs-[0-9a-f]{16}$/

/** Content of the archive. @param init  a static program */
export function buildInitramfs(init: Uint8Array): Buffer {
  const folders = ['dev', 'proc', 'sys', 'root', 'tmp'].map((name): CpioEntry => ({
    kind: 'folder',
    path: name,
    mode: 0o755,
  }))
  return buildCpio([
    ...folders,
    // The kernel opens it for its first process, before anything can be mounted.
    { kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'device', path: 'dev/null', mode: 0o666, major: 1, minor: 3 },
    { kind: 'file', path: 'init', mode: 0o755, bytes: init },
  ])
}

/**
 * Writes it into `folder` unless it is there; those of other versions of ainit are deleted. Its name changes with its content.
 *
 * @param folder  that the hypervisor's user can pass
 * @returns       absolute path
 * @throws QuiverError `resource_exhausted/DISK_FULL`
 */
export async function installInitramfs(folder: string, ainitPath: string): Promise<string> {
  const bytes = buildInitramfs(await readFile(ainitPath))
  const name = `initramfs-${hexOf(digestOf(bytes)).slice(0, 16)}`
  const file = path.join(folder, name)
  const others = (await readdir(folder)).filter((other) => NAME.test(other) && other !== name)
  const present = await readFile(file).catch(() => undefined)
  if (present === undefined || !present.equals(bytes)) await write(file, bytes)
  await Promise.all(others.map((other) => rm(path.join(folder, other), { force: true })))
  return file
}

async function write(file: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}`
  try {
    const handle = await open(temporary, 'w', 0o444)
    try {
      await handle.writeFile(bytes)
      await handle.chmod(0o444)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw diskError(thrown, file)
  }
}
