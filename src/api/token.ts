/** The bearer token of the API on TCP: one secret in a file that only its owner can read. */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../core/error.ts'

const TOKEN = /^[A-Za-z0-9_-]{32,128}$/

/**
 * The token in `file`, made on first use with mode 0600. Fsynced before it is returned.
 *
 * @throws QuiverError `data_loss/TOKEN_INVALID` when the file holds something else
 */
export async function loadToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return rotateToken(file)
  const token = text.trim()
  if (TOKEN.test(token)) return token
  throw new QuiverError('data_loss', 'TOKEN_INVALID', `${file} does not hold a token`, {
    hint: 'Delete the file and restart the node: it makes a new one.',
  })
}

/** Replaces the token by a new one; a running node goes on with the old one until it is restarted. */
export async function rotateToken(file: string): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  await mkdir(path.dirname(file), { recursive: true })
  const temporary = `${file}.${randomBytes(6).toString('hex')}`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(`${token}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  return token
}

/** Compares in a time that does not depend on where the texts differ. */
export function isSameToken(given: string, expected: string): boolean {
  const [a, b] = [given, expected].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
