/** Host calls that compute something for the script, and touch nothing: Node.js has these standards whole, the engine does not. */

import { randomFillSync } from 'node:crypto'

const URL_PARTS = [
  ...(['href', 'protocol', 'username', 'password', 'host', 'hostname', 'port'] as const),
  ...(['pathname', 'search', 'hash', 'origin'] as const),
]
const SETTABLE = URL_PARTS.filter((part) => part !== 'origin' && part !== 'href')
/** A script asks for a few bytes at a time. */
const POOL_BYTES = 4096
const RANDOM_BYTES_MAX = 65_536

const pool = Buffer.alloc(POOL_BYTES)
let poolAt = POOL_BYTES

/** A line for each part; none of them can have a line break. */
export function parseUrl(text: string, base: string | undefined): string | undefined {
  const url = URL.parse(text, base)
  return url === null ? undefined : partsOf(url)
}

export function replaceUrlPart(href: string, part: string, value: string): string {
  const url = URL.parse(href)
  if (url === null) return ''
  const found = SETTABLE.find((one) => one === part)
  if (found !== undefined) url[found] = value
  return partsOf(url)
}

export function parseQuery(text: string): string {
  return JSON.stringify([...new URLSearchParams(text)])
}

export function formatQuery(json: string): string {
  const pairs: unknown = JSON.parse(json)
  const isPairs = Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair))
  return isPairs ? new URLSearchParams(pairs).toString() : ''
}

export function encodingOf(label: string): string | undefined {
  try {
    return new TextDecoder(label).encoding
  } catch {
    return undefined
  }
}

/** @param flags  as `Host.decode` has them */
export function decode(bytes: Uint8Array, label: string, flags: string): string | undefined {
  try {
    // A new one each time: none is to know anything of another script's bytes.
    const options = { fatal: flags.includes('f'), ignoreBOM: flags.includes('b') }
    return new TextDecoder(label, options).decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes that nobody else gets; none for a number that no script can ask for. */
export function randomBytes(count: number): Uint8Array {
  if (!(count >= 0 && count <= RANDOM_BYTES_MAX)) return new Uint8Array(0)
  if (count > POOL_BYTES / 4) return randomFillSync(new Uint8Array(count))
  if (poolAt + count > POOL_BYTES) {
    randomFillSync(pool)
    poolAt = 0
  }
  const bytes = Uint8Array.from(pool.subarray(poolAt, poolAt + count))
  pool.fill(0, poolAt, poolAt + count)
  poolAt += count
  return bytes
}

function partsOf(url: URL): string {
  return URL_PARTS.map((part) => url[part]).join('\n')
}
