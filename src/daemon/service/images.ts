/** The control service's images and binaries: the store's, found by whatever people call them. */

import type { BinaryView, ImageView } from '../../api/resources.ts'
import type { ImageControl } from '../../api/service.ts'
import { hexOf, type Digest } from '../../core/digest.ts'
import { QuiverError } from '../../core/error.ts'
import { nearestName, parseRuntime } from '../../core/name.ts'
import type { StoredBinary, StoredImage, TreeEntry } from '../../images/images.ts'

import type { ServiceParts } from './parts.ts'

const DIGEST_PREFIX = /^(?:sha256:)?([0-9a-f]{6,64})$/

export function buildImageControl(parts: ServiceParts): ImageControl {
  const { images, events } = parts
  return {
    missing: (digests) => images.missing(digests),
    putFile: (digest, content) => images.putFile(content, digest),
    putImage: async (config) => viewImage(await images.putImage(config), parts),
    putBinary: async (config) => await viewBinary(await images.putBinary(config), parts),
    resolveBinary: async (reference, isFresh) => {
      const before = new Set((await images.listBinaries()).map(({ digest }) => digest))
      const binary = await images.resolveBinary(parseRuntime(reference), { isFresh })
      const { name, version } = binary.config
      if (!before.has(binary.digest)) {
        events.emit({ type: 'binaryImported', message: `${name} ${version} was imported` })
      }
      return { ...(await viewBinary(binary, parts)), config: binary.config }
    },
    listImages: async () => (await images.listImages()).map((image) => viewImage(image, parts)),
    getImage: async (reference) => {
      const image = await findImage(reference, parts)
      return { ...viewImage(image, parts), config: image.config }
    },
    removeImage: async (reference) => {
      const { digest } = await findImage(reference, parts)
      await images.removeImage(digest, usersOf(parts))
    },
    listBinaries: async () => {
      const binaries = await images.listBinaries()
      return await Promise.all(binaries.map((binary) => viewBinary(binary, parts)))
    },
    getBinary: async (reference) => {
      const binary = await findBinary(reference, parts)
      const module = await parts.scheduler.modules.describe(binary)
      return { ...(await viewBinary(binary, parts)), config: binary.config, module }
    },
    removeBinary: async (reference) => {
      const { digest } = await findBinary(reference, parts)
      await images.removeBinary(digest, usersOf(parts))
    },
    collectGarbage: async () => {
      assertNamesWhole(parts)
      return await images.collectGarbage()
    },
  }
}

function viewImage(
  { digest, config, bytes, createdAtMs }: StoredImage,
  parts: ServiceParts,
): ImageView {
  return {
    digest,
    name: config.name,
    version: config.version,
    runtime: config.binaryReference,
    binary: config.binary,
    bytes,
    fileCount: countFiles(config.tree),
    usedBy: revisionsWith(digest, parts),
    createdAtMs,
  }
}

async function viewBinary(
  { digest, config, bytes, createdAtMs }: StoredBinary,
  { images }: ServiceParts,
): Promise<BinaryView> {
  const users = (await images.listImages()).filter((image) => image.config.binary === digest)
  return {
    digest,
    name: config.name,
    version: config.version,
    platform: config.platform,
    bytes,
    fileCount: countFiles(config.tree),
    usedBy: [...new Set(users.map((image) => image.config.name))],
    createdAtMs,
  }
}

function countFiles(tree: readonly TreeEntry[]): number {
  return tree.filter(({ kind }) => kind === 'file').length
}

function revisionsWith(image: Digest, { scheduler }: ServiceParts): readonly string[] {
  const revisions = scheduler.registry
    .list()
    .flatMap(({ name }) => [...scheduler.registry.revisions(name).values()])
  return revisions
    .filter((revision) => revision.image === image)
    .map(({ task, number }) => `${task}@${number}`)
}

/** What revisions need, with the name of one that does. */
function usersOf({ scheduler }: ServiceParts): ReadonlyMap<Digest, string> {
  const users = new Map<Digest, string>()
  for (const { name } of scheduler.registry.list()) {
    for (const { image, number } of scheduler.registry.revisions(name).values()) {
      users.set(image, `revision ${number} of the task ${name}`)
    }
  }
  return users
}

async function findImage(reference: string, { images }: ServiceParts): Promise<StoredImage> {
  const all = await images.listImages()
  const byDigest = matchDigest(reference, all, 'image')
  if (byDigest !== undefined) return byDigest
  const [newest] = all
    .filter(({ config }) => config.name === reference)
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs)
  if (newest !== undefined) return newest
  const names = all.map(({ config }) => config.name)
  throw notFound('IMAGE_NOT_FOUND', 'image', reference, names, 'quiver image ls')
}

async function findBinary(reference: string, { images }: ServiceParts): Promise<StoredBinary> {
  const all = await images.listBinaries()
  const byDigest = matchDigest(reference, all, 'binary')
  if (byDigest !== undefined) return byDigest
  const { name, version } = parseRuntime(reference)
  const fitting = all.filter(
    ({ config }) => config.name === name && isVersion(config.version, version),
  )
  const [newest] = fitting.toSorted((a, b) => b.createdAtMs - a.createdAtMs)
  if (newest !== undefined) return newest
  const names = all.map(({ config }) => config.name)
  throw notFound('BINARY_NOT_FOUND', 'binary', reference, names, 'quiver binary ls')
}

function isVersion(version: string, wanted: string | undefined): boolean {
  return wanted === undefined || version === wanted || version.startsWith(`${wanted}.`)
}

/** @throws QuiverError `invalid_argument/DIGEST_AMBIGUOUS` */
function matchDigest<T extends { readonly digest: Digest }>(
  reference: string,
  all: readonly T[],
  what: string,
): T | undefined {
  const [, prefix] = DIGEST_PREFIX.exec(reference) ?? []
  if (prefix === undefined) return undefined
  const found = all.filter(({ digest }) => hexOf(digest).startsWith(prefix))
  if (found.length < 2) return found[0]
  throw new QuiverError(
    'invalid_argument',
    'DIGEST_AMBIGUOUS',
    `"${reference}" fits ${found.length} of them`,
    {
      hint: `Write more digits of the ${what}'s digest.`,
    },
  )
}

function notFound(
  reason: string,
  what: string,
  reference: string,
  names: readonly string[],
  command: string,
): QuiverError {
  const nearest = nearestName(reference, names)
  return new QuiverError('not_found', reason, `there is no ${what} "${reference}"`, {
    hint: nearest === undefined ? `See "${command}".` : `Did you mean "${nearest}"?`,
  })
}

/** What the name of an image or binary was damaged for is not garbage, and may be running. */
function assertNamesWhole({ listSetAside }: ServiceParts): void {
  const damaged = listSetAside().find((key) => /^(?:image|binary)\//.test(key))
  if (damaged === undefined) return
  const message = `"${damaged}" was damaged: what it named would be taken for garbage`
  throw new QuiverError('data_loss', 'STATE_CORRUPT', message, {
    hint: 'Deploy or import it again, delete state/state.db-damaged in the data folder, and try again.',
  })
}
