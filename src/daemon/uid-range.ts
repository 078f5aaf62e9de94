/**
 * Which uids a node gives to its tasks: a range that no other node of this host has, kept for good, because files
 * of tasks outlive their instances. Claims are files named by the first uid, holding the data folder they are for.
 */

import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf, QuiverError } from '../core/error.ts'

const CLAIMS_FOLDER = '/var/lib/quiver-uids'
const RANGES_MAX = 1000

/** `size` uids from `first` on. */
export interface UidRange {
  readonly first: number
  readonly size: number
}

/**
 * This node's range: the one it claimed before, of the size that it had then, else the first free one at or after `base`.
 *
 * @param dataFolder  absolute; a claim whose data folder is gone is free again
 * @param size        uids per range; claims of different sizes may not overlap
 * @throws QuiverError `resource_exhausted/UIDS_EXHAUSTED`
 */
export async function claimUidRange(
  dataFolder: string,
  base: number,
  size: number,
  claimsFolder = CLAIMS_FOLDER,
): Promise<UidRange> {
  await mkdir(claimsFolder, { recursive: true, mode: 0o755 })
  const claims = await readClaims(claimsFolder)
  const own = claims.find((claim) => claim.dataFolder === dataFolder)
  if (own !== undefined) return own
  for (let index = 0; index < RANGES_MAX; index++) {
    const first = base + index * size
    const isTaken = claims.some(
      (claim) => first < claim.first + claim.size && claim.first < first + size,
    )
    if (!isTaken && (await createClaim(claimsFolder, first, size, dataFolder)))
      return { first, size }
  }
  throw new QuiverError('resource_exhausted', 'UIDS_EXHAUSTED', 'no range of user ids is free', {
    hint: `Remove claims of nodes that are gone from ${claimsFolder}, or set uid.base in node.toml.`,
  })
}

interface Claim extends UidRange {
  readonly dataFolder: string
}

async function readClaims(folder: string): Promise<readonly Claim[]> {
  const claims: Claim[] = []
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name)
    const [sizeText = '', dataFolder = ''] = (await readFile(file, 'utf8')).split('\n')
    // A file without its second line is being written at this moment.
    const isStale = dataFolder !== '' && !existsSync(dataFolder)
    if (isStale) await rm(file, { force: true })
    else claims.push({ first: Number(name), size: Number(sizeText), dataFolder })
  }
  return claims
}

/** False when another node was faster. */
async function createClaim(
  folder: string,
  first: number,
  size: number,
  dataFolder: string,
): Promise<boolean> {
  try {
    await using file = await open(path.join(folder, String(first)), 'wx', 0o644)
    await file.writeFile(`${size}\n${dataFolder}\n`)
    await file.sync()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}
