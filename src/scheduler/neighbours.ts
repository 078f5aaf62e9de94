/** What two tasks on the bridge may not share, and what nobody may be there. Pure; checked before anything starts. */

import { QuiverError } from '../core/error.ts'
import { macOf } from '../core/identity.ts'
import { contains, formatSubnet, isHost, parseIpv4 } from '../core/ipv4.ts'
import { hostnameOf, isOnlyOne, type TaskSpec } from '../core/task.ts'
import type { BridgeSettings } from '../drivers/bridge.ts'

export interface Neighbour {
  readonly spec: TaskSpec
  /** In the subnet: its addresses. */
  readonly places: readonly number[]
}

/**
 * @param instances  how many it may have
 * @param others  tasks that have addresses already
 * @throws QuiverError `invalid_argument/SPEC_UNSUPPORTED`, `invalid_argument/IP_OUTSIDE`, `already_exists/IP_TAKEN`,
 *   `already_exists/MAC_TAKEN`, `already_exists/HOSTNAME_TAKEN`, the last three naming the owner
 */
export function assertIdentity(
  spec: TaskSpec,
  instances: number,
  bridge: BridgeSettings,
  others: readonly Neighbour[],
): void {
  assertUseful(spec, instances)
  if (spec.network !== 'bridge') return
  const { ip = null, mac = null } = spec.identity ?? {}
  assertReachable(spec, bridge)
  if (ip !== null) {
    assertUsable(ip, bridge)
    const place = parseIpv4(ip) - bridge.subnet.base
    const owner = others.find(({ places }) => places.includes(place))
    if (owner !== undefined) throw ipTaken(ip, owner.spec.name)
  }
  const own = ip === null ? mac : (mac ?? macOf(parseIpv4(ip)))
  const twin = others.find((other) => own !== null && macsOf(other, bridge).includes(own))
  if (twin !== undefined) throw macTaken(String(own), twin.spec.name)
  assertNames(spec, others)
}

/** What says who it is needs a network on which it is somebody. */
function assertUseful(spec: TaskSpec, instances: number): void {
  const { ip, mac, dns = [] } = spec.identity ?? {}
  const isUsed = (ip ?? mac ?? null) !== null || dns.length > 0
  if (isUsed && spec.network !== 'bridge') {
    throw unsupported(
      `${spec.name} has ip, mac or dns, and network = "${spec.network}"`,
      'Use network = "bridge" (--network bridge), or leave them out.',
    )
  }
  if (!isOnlyOne(spec) || instances <= 1) return
  throw unsupported(
    `${spec.name} has an address of its own choice, and would have ${instances} instances`,
    'One address is for one instance: set scale.max = 1, or leave ip and mac out.',
  )
}

/** What is declared by its address would be shadowed by a neighbour. */
function assertReachable(spec: TaskSpec, { subnet }: BridgeSettings): void {
  const near = spec.allow.find(({ host }) => isIn(host, subnet))
  if (near === undefined) return
  throw unsupported(
    `${spec.name} allows ${near.host}, which is on the bridge, ${formatSubnet(subnet)}`,
    'Leave it out of allow: neighbours on the bridge are reached directly.',
  )
}

function assertUsable(ip: string, { subnet, gateway }: BridgeSettings): void {
  const address = parseIpv4(ip)
  if (isHost(subnet, address) && address !== gateway) return
  const why =
    address === gateway
      ? 'is the gateway of the bridge'
      : `is nobody on the bridge, ${formatSubnet(subnet)}`
  throw new QuiverError('invalid_argument', 'IP_OUTSIDE', `${ip} ${why}`, {
    hint: `Choose another address of ${formatSubnet(subnet)}, or let the node choose one.`,
  })
}

function assertNames(spec: TaskSpec, others: readonly Neighbour[]): void {
  const names = namesOf(spec)
  for (const { spec: other } of others) {
    if (other.network !== 'bridge') continue
    const name = namesOf(other).find((one) => names.includes(one))
    if (name !== undefined) throw hostnameTaken(name, other.name)
  }
}

function namesOf(spec: TaskSpec): readonly string[] {
  return [spec.name, hostnameOf(spec)]
}

function macsOf({ spec, places }: Neighbour, { subnet }: BridgeSettings): readonly string[] {
  const mac = spec.identity?.mac ?? null
  return mac === null ? places.map((place) => macOf(subnet.base + place)) : [mac]
}

function isIn(host: string, subnet: BridgeSettings['subnet']): boolean {
  try {
    return contains(subnet, parseIpv4(host))
  } catch {
    return false
  }
}

function ipTaken(ip: string, owner: string): QuiverError {
  const message = `the address ${ip} belongs to the task ${owner}`
  return new QuiverError('already_exists', 'IP_TAKEN', message, {
    hint: `Choose another ip, or remove it with "quiver rm ${owner}".`,
    details: { ip, owner },
  })
}

function macTaken(mac: string, owner: string): QuiverError {
  const message = `the hardware address ${mac} belongs to the task ${owner}`
  return new QuiverError('already_exists', 'MAC_TAKEN', message, {
    hint: `Choose another mac, or remove it with "quiver rm ${owner}".`,
    details: { mac, owner },
  })
}

function hostnameTaken(hostname: string, owner: string): QuiverError {
  const message = `the host name ${hostname} belongs to the task ${owner}`
  return new QuiverError('already_exists', 'HOSTNAME_TAKEN', message, {
    hint: `Choose another hostname, or remove it with "quiver rm ${owner}".`,
    details: { hostname, owner },
  })
}

function unsupported(message: string, hint: string): QuiverError {
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, { hint })
}
