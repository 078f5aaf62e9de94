/** What `ainit launch` is told of an instance on the bridge whose process has the interface itself. */

import { formatIpv4 } from '../../core/ipv4.ts'
import type { InstancePlan } from '../driver.ts'

import type { Connection } from './bridge.ts'

type Records = readonly (readonly [key: string, value: string])[]

export function bridgeRecords(plan: InstancePlan, connection: Connection): Records {
  const { port, bridge, switchPath, gateway, namesFolder } = connection
  const { address, prefixBits, mac } = connection.interface
  const dns = plan.spec.identity?.dns ?? []
  return [
    ['bridge_port', port],
    ['mac', mac],
    ['address', `${address}/${prefixBits}`],
    ...(bridge === null ? [] : [['bridge', bridge] as const]),
    ...(switchPath === null ? [] : [['switch', switchPath] as const]),
    ...(gateway === null ? [] : [['gateway', formatIpv4(gateway)] as const]),
    ['names', namesFolder],
    ...(dns.length === 0 ? [] : [['dns_others', '1'] as const]),
  ]
}
