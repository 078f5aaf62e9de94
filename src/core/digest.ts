/** Content addresses: what names bytes in the store, and nothing about where they are kept. */

import { createHash } from 'node:crypto'

/** `sha256:` and 64 lower-case hexadecimal digits, as in the OCI image specification. */
export type Digest = `sha256:${string}`

const DIGEST = /^sha256:[0-9a-f]{64}$/

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text)
}

/** The digest of bytes that are in memory already. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The 64 hexadecimal digits, for use in a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length)
}

/**
 * The one JSON text that a value has here: keys sorted, no white space. Equal values give equal
 * bytes and so equal digests (RFC 8785, for the strings, safe integers and booleans that we use).
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}
