/** Addresses on the node's bridge, as they are shown. */

import type { AddressView } from '../client/resources.ts'

/** `10.83.0.2 02:71:0a:53:00:02 api`: what its neighbours know it by. */
export function formatAddress({ ip, mac, hostname }: AddressView): string {
  return `${ip} ${mac} ${hostname}`
}

/** That of the first instance, and where those of the others are. */
export function formatAddresses(addresses: readonly AddressView[]): readonly string[] {
  const [first, ...others] = addresses
  if (first === undefined) return []
  const [from, to] = [others[0]?.ip, others.at(-1)?.ip]
  if (from === undefined) return [formatAddress(first)]
  const rest = from === to ? from : `${from} to ${to}`
  return [`${formatAddress(first)}, then ${rest}`]
}
