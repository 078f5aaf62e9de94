/** Who an instance is on a network: hardware addresses and host names as people write them. Pure. */

import { QuiverError } from './error.ts'
import { parseName } from './name.ts'

/** Locally administered, for one receiver; what follows is the IPv4 address. */
const MAC_PREFIX = [0x02, 0x71]
const LOCALHOST = 'localhost'

/** The hardware address of whoever has an IPv4 address and was given none. */
export function macOf(address: number): string {
  const bytes = [...MAC_PREFIX, ...[24, 16, 8, 0].map((shift) => (address >>> shift) & 255)]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/**
 * Reads `02:00:5e:10:00:01`; hyphens and capitals are understood.
 *
 * @returns in lower case, with colons
 * @throws QuiverError `invalid_argument/MAC_INVALID`
 */
export function parseMac(text: string): string {
  const mac = text.toLowerCase().replaceAll('-', ':')
  const isMac = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(mac)
  if (!isMac) throw invalidMac(text, 'is not a hardware address')
  const isForMany = (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1
  if (isForMany) throw invalidMac(text, 'is an address of many, not of one')
  if (mac === '00:00:00:00:00:00') throw invalidMac(text, 'is the address of nobody')
  return mac
}

/** One label, as in names of tasks. @throws QuiverError `invalid_argument/NAME_INVALID` */
export function parseHostname(text: string): string {
  const name = parseName(text, 'host name')
  if (name !== LOCALHOST) return name
  throw new QuiverError('invalid_argument', 'NAME_INVALID', `"${name}" is everybody's own name`, {
    hint: 'Choose another one.',
  })
}

function invalidMac(text: string, what: string): QuiverError {
  return new QuiverError('invalid_argument', 'MAC_INVALID', `"${text}" ${what}`, {
    hint: 'Write six pairs of hexadecimal digits, the first of which is even, such as "02:00:5e:10:00:01".',
  })
}
