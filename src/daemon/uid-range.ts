/**
 * Which uids a node gives to its tasks: a range that no other node of this host has, kept for good, because files
 * of tasks outlive their instances. Claims are files named by the first uid, holding the data folder they are for.
 */

import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { QuiverError } from '../core/error.ts'
import { openLock } from '../fds/lock.ts'

const CLAIMS_FOLDER = '/var/lib/quiver-uids'
const RANGES_MAX = 1000
/** In the folder of claims; held by whoever looks for a free range. */
const LOCK = 'lock'
const LOCK_TRIES_MAX = 2000
const LOCK_RETRY_MS = 5

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
 * @throws QuiverError `resource_exhausted/UIDS_EXHAUSTED`, `unavailable/UIDS_LOCKED`
 */
export async function claimUidRange(
  dataFolder: string,
  base: number,
  size: number,
  claimsFolder = CLAIMS_FOLDER,
): Promise<UidRange> {
  await mkdir(claimsFolder, { recursive: true, mode: 0o755 })
  await using locks = new AsyncDisposableStack()
  locks.use(await takeLock(path.join(claimsFolder, LOCK)))
  const claims = await readClaims(claimsFolder)
  const own = claims.find((claim) => claim.dataFolder === dataFolder)
  if (own !== undefined) return { first: own.first, size: own.size }
  for (let index = 0; index < RANGES_MAX; index++) {
    const first = base + index * size
    if (claims.some((claim) => first < claim.first + claim.size && claim.first < first + size))
      continue
    await writeClaim(claimsFolder, { first, size, dataFolder })
    return { first, size }
  }
  throw new QuiverError('resource_exhausted', 'UIDS_EXHAUSTED', 'no range of user ids is free', {
    hint: `Remove claims of nodes that are gone from ${claimsFolder}, or set uid.base in node.toml.`,
  })
}

interface Claim extends UidRange {
  readonly dataFolder: string
}

/** Claims are few and short to make: whoever else makes one is soon done. */
async function takeLock(file: string): Promise<AsyncDisposable> {
  for (let tries = 0; tries < LOCK_TRIES_MAX; tries++) {
    const lock = await openLock(file)
    if (lock !== undefined) return lock
    await delay(LOCK_RETRY_MS)
  }
  throw new QuiverError('unavailable', 'UIDS_LOCKED', `another process holds ${file}`, {
    hint: 'Try again, or look for a "quiver up" that hangs.',
  })
}

/** Those whose data folder is still there; the others are free again, as is a file that is no claim. */
async function readClaims(folder: string): Promise<readonly Claim[]> {
  const claims: Claim[] = []
  for (const name of await readdir(folder)) {
    if (!/^\d+$/.test(name)) continue
    const file = path.join(folder, name)
    const [size = '', dataFolder = ''] = (await readFile(file, 'utf8')).split('\n')
    if (dataFolder !== '' && existsSync(dataFolder))
      claims.push({ first: Number(name), size: Number(size), dataFolder })
    else await rm(file, { force: true })
  }
  return claims
}

/** There at once and whole, or not at all. */
async function writeClaim(folder: string, { first, size, dataFolder }: Claim): Promise<void> {
  const temporary = path.join(folder, `${first}.new`)
  {
    await using file = await open(temporary, 'w', 0o644)
    await file.writeFile(`${size}\n${dataFolder}\n`)
    await file.sync()
  }
  await rename(temporary, path.join(folder, String(first)))
}
