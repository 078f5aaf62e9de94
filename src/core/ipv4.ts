/** IPv4 addresses and subnets as numbers. Pure; knows no interfaces and no names. */

import { QuiverError } from './error.ts'

export interface Subnet {
  /** Its first address, as an unsigned number of 32 bits. */
  readonly base: number
  readonly prefixBits: number
}

/** Room for a few instances beside the addresses that nobody may have. */
const PREFIX_BITS_MAX = 29
const PREFIX_BITS_MIN = 8
/** "This network", loopback, and from multicast on all that is reserved. */
const NO_HOSTS: readonly Subnet[] = [
  { base: 0, prefixBits: 8 },
  { base: 127 * 2 ** 24, prefixBits: 8 },
  { base: 224 * 2 ** 24, prefixBits: 3 },
]

/** @throws QuiverError `invalid_argument/IP_INVALID` */
export function parseIpv4(text: string): number {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1) ?? []
  const bytes = parts.map(Number)
  const isCanonical = bytes.every((byte, at) => byte <= 255 && String(byte) === parts[at])
  if (bytes.length === 4 && isCanonical) return bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  throw new QuiverError('invalid_argument', 'IP_INVALID', `"${text}" is not an IPv4 address`, {
    hint: 'Write four numbers from 0 to 255, such as "10.83.0.10".',
  })
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}

/** Reads `10.83.0.0/16`. @throws QuiverError `invalid_argument/SUBNET_INVALID` */
export function parseSubnet(text: string): Subnet {
  const [, address = '', digits = ''] = /^([^/]*)\/(\d{1,2})$/.exec(text) ?? []
  const prefixBits = Number(digits)
  if (digits === '' || prefixBits < PREFIX_BITS_MIN || prefixBits > PREFIX_BITS_MAX) {
    throw invalid(text, `Write an address and a length from /8 to /29, such as "10.83.0.0/16".`)
  }
  const subnet = { base: parseIpv4(address), prefixBits }
  const base = baseOf(subnet.base, prefixBits)
  if (base !== subnet.base) {
    throw invalid(text, `Its first address is ${formatSubnet({ base, prefixBits })}.`)
  }
  if (!NO_HOSTS.some((none) => overlaps(none, subnet))) return subnet
  throw invalid(text, 'Nobody can have an address of it: choose one such as "10.83.0.0/16".')
}

export function formatSubnet({ base, prefixBits }: Subnet): string {
  return `${formatIpv4(base)}/${prefixBits}`
}

export function sizeOf({ prefixBits }: Subnet): number {
  return 2 ** (32 - prefixBits)
}

export function contains(subnet: Subnet, address: number): boolean {
  return baseOf(address, subnet.prefixBits) === subnet.base
}

/** Whether an address belongs to both; of two subnets, one is then within the other. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return contains(a, b.base) || contains(b, a.base)
}

/** Neither the subnet's own address nor that of everybody in it. */
export function isHost(subnet: Subnet, address: number): boolean {
  const isEnd = address === subnet.base || address === subnet.base + sizeOf(subnet) - 1
  return contains(subnet, address) && !isEnd
}

function baseOf(address: number, prefixBits: number): number {
  const size = 2 ** (32 - prefixBits)
  return Math.floor(address / size) * size
}

function invalid(text: string, hint: string): QuiverError {
  return new QuiverError('invalid_argument', 'SUBNET_INVALID', `"${text}" is not a subnet`, {
    hint,
  })
}
