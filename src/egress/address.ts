/**
 * What kind of address an IP address is, as far as reaching it from an instance goes. Pure: no look-ups, no sockets.
 *
 * The ranges are those of the IANA special-purpose address registries (RFC 6890) and the metadata services of the
 * clouds. An address that carries an IPv4 address inside is what the inner one is. IPv6 outside 2000::/3 is not in use
 * on the Internet, so what is not named here is refused there.
 *
 * https://www.iana.org/assignments/iana-ipv4-special-registry
 * https://www.iana.org/assignments/iana-ipv6-special-registry
 */

import { isIPv4, isIPv6 } from 'node:net'

export type AddressKind =
  | 'public'
  | 'loopback'
  /** Of a local network: RFC 1918, shared (CGNAT), unique local, benchmarking, documentation. */
  | 'private'
  | 'linkLocal'
  /** Gives the machine's own credentials to whoever asks. */
  | 'metadata'
  /** Unspecified, multicast, broadcast, reserved, or a tunnel that leads nobody knows where. */
  | 'unusable'

type Range = readonly [prefix: string, bits: number, kind: AddressKind | 'embedded']

/** First match wins, so the narrower range stands first. */
const RANGES_V4: readonly Range[] = [
  ['169.254.169.254', 32, 'metadata'], // AWS, Azure, GCP and most others
  ['169.254.170.2', 32, 'metadata'], // AWS ECS
  ['169.254.170.23', 32, 'metadata'], // AWS EKS
  ['100.100.100.200', 32, 'metadata'], // Alibaba Cloud
  ['168.63.129.16', 32, 'metadata'], // Azure
  ['192.0.0.192', 32, 'metadata'], // Oracle Cloud
  ['0.0.0.0', 8, 'unusable'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'private'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'linkLocal'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'unusable'],
  ['192.0.2.0', 24, 'private'],
  ['192.88.99.0', 24, 'unusable'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'private'],
  ['198.51.100.0', 24, 'private'],
  ['203.0.113.0', 24, 'private'],
  ['224.0.0.0', 4, 'unusable'],
  ['240.0.0.0', 4, 'unusable'],
  ['0.0.0.0', 0, 'public'],
]

/** For `embedded` ranges the IPv4 address follows the prefix at once. */
const RANGES_V6: readonly Range[] = [
  ['fd00:ec2::254', 128, 'metadata'], // AWS
  ['fd00:ec2::23', 128, 'metadata'], // AWS EKS
  ['fd20:ce::254', 128, 'metadata'], // GCP
  ['::1', 128, 'loopback'],
  ['::ffff:0:0', 96, 'embedded'], // IPv4-mapped
  ['64:ff9b::', 96, 'embedded'], // NAT64
  ['2002::', 16, 'embedded'], // 6to4
  ['2001::', 23, 'unusable'], // IETF protocol assignments: Teredo, ORCHID and others
  ['2001:db8::', 32, 'private'],
  ['3fff::', 20, 'private'],
  ['fc00::', 7, 'private'],
  ['fe80::', 10, 'linkLocal'],
  ['2000::', 3, 'public'],
  ['::', 0, 'unusable'],
]

const MAPPED = bytesOfV6('::ffff:0:0')
const COMPILED_V4 = RANGES_V4.map(compileRange)
const COMPILED_V6 = RANGES_V6.map(compileRange)

/** @param address  as the resolver gave it; anything but a plain IPv4 or IPv6 address (a zone too) is unusable */
export function classifyAddress(address: string): AddressKind {
  if (isIPv4(address)) return classify(bytesOfV4(address), COMPILED_V4)
  if (isIPv6(address) && !address.includes('%')) return classify(bytesOfV6(address), COMPILED_V6)
  return 'unusable'
}

/**
 * The same text for every way to write an address, also for an IPv4 address within IPv6 (`::ffff:10.0.0.1`).
 *
 * @param address  valid, without a zone
 */
export function canonicalAddress(address: string): string {
  const bytes = isIPv4(address) ? bytesOfV4(address) : bytesOfV6(address)
  return (hasPrefix(bytes, MAPPED, 96) ? bytes.slice(12) : bytes).join('.')
}

interface CompiledRange {
  readonly prefix: readonly number[]
  readonly bits: number
  readonly kind: AddressKind | 'embedded'
}

function compileRange([prefix, bits, kind]: Range): CompiledRange {
  return { prefix: isIPv4(prefix) ? bytesOfV4(prefix) : bytesOfV6(prefix), bits, kind }
}

function classify(address: readonly number[], ranges: readonly CompiledRange[]): AddressKind {
  const range = ranges.find(({ prefix, bits }) => hasPrefix(address, prefix, bits))
  if (range === undefined) return 'unusable'
  if (range.kind !== 'embedded') return range.kind
  return classify(address.slice(range.bits / 8, range.bits / 8 + 4), COMPILED_V4)
}

function hasPrefix(address: readonly number[], prefix: readonly number[], bits: number): boolean {
  const whole = bits >> 3
  const mask = (0xff00 >> (bits & 7)) & 0xff
  const isSame = (index: number, of: number): boolean =>
    ((address[index] ?? 0) & of) === ((prefix[index] ?? 0) & of)
  return address.slice(0, whole).every((_, index) => isSame(index, 0xff)) && isSame(whole, mask)
}

function bytesOfV4(address: string): readonly number[] {
  return address.split('.').map(Number)
}

/** @param address  valid, without a zone; may end in a dotted IPv4 address, may have one `::` */
function bytesOfV6(address: string): readonly number[] {
  const [head = '', tail] = address.split('::')
  const start = bytesOfGroups(head)
  if (tail === undefined) return start
  const end = bytesOfGroups(tail)
  return [...start, ...Array<number>(16 - start.length - end.length).fill(0), ...end]
}

function bytesOfGroups(text: string): readonly number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return bytesOfV4(group)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
