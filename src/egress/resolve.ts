/**
 * From a declared host to the addresses that may be connected to. The check is made on addresses, for each connection
 * anew, and the caller connects to exactly these: what a name meant a moment ago, or how it is spelt, decides nothing.
 */

import { lookup } from 'node:dns/promises'
import { isIP, isIPv6 } from 'node:net'

import { QuiverError } from '../core/error.ts'

import { canonicalAddress, classifyAddress } from './address.ts'

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

/** Which addresses that are not public a target may lead to all the same. */
export interface Exceptions {
  /** Those of local networks and of this machine, for a target that is such an address itself. */
  readonly isPrivateAllowed: boolean
  /** Addresses that the manifest names itself, with the port that is asked for: reached by a name, they give nothing more. */
  readonly named: readonly string[]
}

/**
 * @param name  as presented: a host name, or an address, which is not looked up
 * @returns     at least one address, IPv6 and IPv4 in turn, each family in the resolver's order, the first one's first
 * @throws QuiverError `not_found/NAME_UNKNOWN`, `permission_denied/ADDRESS_REFUSED`
 */
export async function resolveAllowed(
  name: string,
  exceptions: Exceptions,
  resolver: Resolver,
): Promise<readonly string[]> {
  const isLiteral = isIP(name) !== 0
  const found = isLiteral ? [name] : await resolveName(name, resolver)
  const allowed = found.filter((address) => isAllowed(address, exceptions, isLiteral))
  if (allowed.length > 0) return alternateFamilies(allowed).slice(0, ADDRESSES_MAX)
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

function isAllowed(
  address: string,
  { isPrivateAllowed, named }: Exceptions,
  isLiteral: boolean,
): boolean {
  const kind = classifyAddress(address)
  if (kind === 'public') return true
  if (kind === 'unusable') return false
  const canonical = canonicalAddress(address)
  if (named.some((each) => canonicalAddress(each) === canonical)) return true
  // Link-local and metadata never by a name alone, whoever owns it: only to who wrote this very address into the manifest.
  return isPrivateAllowed && (isLiteral || kind === 'loopback' || kind === 'private')
}

/** RFC 8305, section 4: where one family leads nowhere, the second attempt is of the other. */
function alternateFamilies(addresses: readonly string[]): readonly string[] {
  const [first = ''] = addresses
  const isFirst = (address: string): boolean => isIPv6(address) === isIPv6(first)
  const [same, other] = [addresses.filter(isFirst), addresses.filter((each) => !isFirst(each))]
  return addresses
    .flatMap((_, index) => [same[index], other[index]])
    .filter((address) => address !== undefined)
}
