/** Routes of this machine, and those that a subnet of ours would be in the way of. */

import { readFile } from 'node:fs/promises'

import { QuiverError } from '../../core/error.ts'
import { formatSubnet, overlaps, type Subnet } from '../../core/ipv4.ts'

export interface Route {
  readonly device: string
  readonly subnet: Subnet
}

/** Of the network that this process is in. */
export async function readRoutes(): Promise<readonly Route[]> {
  return parseRoutes(await readFile('/proc/self/net/route', 'utf8'))
}

/** Reads /proc/net/route: addresses are hexadecimal words in the byte order of the machine, which is little-endian. */
export function parseRoutes(text: string): readonly Route[] {
  return text.split('\n').flatMap((line, index) => {
    const [device = '', destination = '', , , , , , mask = ''] = line.split('\t')
    if (index === 0 || mask === '') return []
    const prefixBits = countBits(swap(mask))
    return [{ device, subnet: { base: swap(destination), prefixBits } }]
  })
}

/**
 * An address must mean one host to an instance: what is declared by its address, and the neighbour that has it.
 *
 * @param own  the device of the bridge itself; null: it has none here
 * @throws QuiverError `failed_precondition/SUBNET_TAKEN`
 */
export function assertUnrouted(subnet: Subnet, routes: readonly Route[], own: string | null): void {
  const taken = routes.find(
    (route) =>
      route.device !== own && route.subnet.prefixBits > 0 && overlaps(route.subnet, subnet),
  )
  if (taken === undefined) return
  const route = `${formatSubnet(taken.subnet)} by ${taken.device}`
  const message = `the subnet of the bridge, ${formatSubnet(subnet)}, has hosts of another network: this machine has a route to ${route}`
  throw new QuiverError('failed_precondition', 'SUBNET_TAKEN', message, {
    hint: 'Set bridge.subnet in node.toml to one that nobody has, and restart the node.',
  })
}

function swap(word: string): number {
  return Buffer.from(word, 'hex').readUInt32LE(0)
}

function countBits(mask: number): number {
  return mask.toString(2).replaceAll('0', '').length
}
