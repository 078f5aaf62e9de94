/**
 * From a declared host to the addresses that may be connected to. The check is made on addresses, for each connection
 * anew, and the caller connects to exactly these: what a name meant a moment ago, or how it is spelt, decides nothing.
 */

import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { QuiverError } from '../core/error.ts'

import { classifyAddress } from './address.ts'

/** All addresses of a name, best first. */
export type Resolver = (name: string) => Promise<readonly string[]>

/** A name with more addresses than this has them to spread load; we need one that answers. */
const ADDRESSES_MAX = 16

/**
 * The system's resolver (hosts file, then DNS), without a cache of our own. Requests for a name that is being looked up
 * already share the answer, since the system looks up only a few names at once.
 */
export function buildSystemResolver(): Resolver {
  const pending = new Map<string, Promise<readonly string[]>>()
  return (name) => {
    const shared = pending.get(name)
    if (shared !== undefined) return shared
    const answer = lookup(name, { all: true, order: 'verbatim' })
      .then((found) => found.map(({ address }) => address))
      .finally(() => pending.delete(name))
    pending.set(name, answer)
    return answer
  }
}

/**
 * @param name              as presented: a host name, or an address, which is not looked up
 * @param isPrivateAllowed  the manifest names a host of a local network
 * @returns                 at least one address, in the resolver's order
 * @throws QuiverError `not_found/NAME_UNKNOWN`, `permission_denied/ADDRESS_REFUSED`
 */
export async function resolveAllowed(
  name: string,
  isPrivateAllowed: boolean,
  resolver: Resolver,
): Promise<readonly string[]> {
  const isLiteral = isIP(name) !== 0
  const found = isLiteral ? [name] : await resolveName(name, resolver)
  const allowed = found.filter((address) => isAllowed(address, isPrivateAllowed, isLiteral))
  if (allowed.length > 0) return allowed.slice(0, ADDRESSES_MAX)

  const kinds = [...new Set(found.map(classifyAddress))].join(', ')
  throw new QuiverError('permission_denied', 'ADDRESS_REFUSED', `${name} is ${kinds}`, {
    hint: 'Only public addresses are reached unless the manifest names a local one.',
  })
}

async function resolveName(name: string, resolver: Resolver): Promise<readonly string[]> {
  try {
    const found = await resolver(name)
    if (found.length > 0) return found
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    throw new QuiverError('not_found', 'NAME_UNKNOWN', reason, { cause: thrown })
  }
  throw new QuiverError('not_found', 'NAME_UNKNOWN', `${name} has no address`)
}

function isAllowed(address: string, isPrivateAllowed: boolean, isLiteral: boolean): boolean {
  const kind = classifyAddress(address)
  if (kind === 'public') return true
  if (kind === 'unusable' || !isPrivateAllowed) return false
  // Link-local and metadata never by a name, whoever owns it: only to who wrote this very address into the manifest.
  return isLiteral || kind === 'loopback' || kind === 'private'
}
