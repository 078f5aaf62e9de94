/**
 * Which folders of the host a run may share with its program: those of a WebAssembly program, and none through which it could reach the
 * node itself or the kernel. What it may do in them, the permissions of the host say: it runs as a user of its own.
 */

import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'

import type { RunRequest } from '../../api/resources.ts'
import { QuiverError } from '../../core/error.ts'
import type { TaskSpec } from '../../core/task.ts'
import type { Mount } from '../../drivers/driver.ts'
import type { ImageStore, StoredImage } from '../../images/images.ts'
import { isWasm } from '../../images/wasm-binary.ts'
import type { ControlConfig } from '../control-config.ts'

type Folders = NonNullable<RunRequest['folders']>

const SYSTEM_FOLDERS = ['/proc', '/sys', '/dev']

/**
 * @returns them with their links resolved
 * @throws QuiverError `invalid_argument/DIR_UNSUPPORTED`, `invalid_argument/DIR_INVALID`, `not_found/DIR_MISSING`,
 *   `permission_denied/DIR_FORBIDDEN`
 */
export async function openSharedFolders(
  folders: Folders,
  run: {
    readonly spec: TaskSpec
    readonly image: StoredImage
    readonly images: ImageStore
    readonly config: ControlConfig
  },
): Promise<readonly Mount[]> {
  if (folders.length === 0) return []
  const { spec, image, images, config } = run
  const { platform } = (await images.getBinary(image.config.binary)).config
  if (!isWasm(platform) || (spec.wasm?.script ?? null) !== null) throw unsupported(spec.name)
  assertTargets(folders.map(({ target }) => target))
  const own = [config.dataFolder, config.runFolder].map(async (folder) => await realpath(folder))
  const closed = [...SYSTEM_FOLDERS, ...(await Promise.all(own))]
  return await Promise.all(
    folders.map(async (folder) => ({ ...folder, source: await findSource(folder.source, closed) })),
  )
}

function assertTargets(targets: readonly string[]): void {
  const seen = new Set<string>()
  for (const target of targets) {
    // A libc compares names letter by letter.
    if (target !== path.posix.resolve('/', target)) {
      throw invalid(`"${target}" is no absolute path for the program`)
    }
    if (seen.has(target)) throw invalid(`two folders are to be ${target}`)
    seen.add(target)
  }
}

async function findSource(source: string, closed: readonly string[]): Promise<string> {
  if (!path.isAbsolute(source)) throw invalid(`"${source}" is no absolute path`)
  const real = await realpath(source).catch(() => '')
  const isFolder = await stat(real).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) throw missing(source)
  const conflict = closed.find((folder) => isWithin(real, folder) || isWithin(folder, real))
  if (conflict === undefined) return real
  const message = `${source} cannot be shared: ${conflict} is the node's or the kernel's`
  throw new QuiverError('permission_denied', 'DIR_FORBIDDEN', message, {
    hint: `Share a folder that neither is in ${conflict} nor has it inside.`,
  })
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`)
}

function unsupported(name: string): QuiverError {
  const message = `${name} is no WebAssembly program: folders cannot be shared with it`
  return new QuiverError('invalid_argument', 'DIR_UNSUPPORTED', message, {
    hint: 'Leave --dir away, and put the files into the folder of its quiver.toml.',
  })
}

function invalid(message: string): QuiverError {
  return new QuiverError('invalid_argument', 'DIR_INVALID', message, {
    hint: 'Write --dir HOST, HOST:/GUEST or HOST:/GUEST:rw, each GUEST once.',
  })
}

function missing(source: string): QuiverError {
  return new QuiverError('not_found', 'DIR_MISSING', `the node's machine has no folder ${source}`, {
    hint: 'Name a folder that exists there.',
  })
}
