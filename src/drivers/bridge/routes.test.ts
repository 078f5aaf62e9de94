import assert from 'node:assert/strict'
import { test } from 'node:test'

import { formatSubnet, parseSubnet } from '../../core/ipv4.ts'

import { assertUnrouted, parseRoutes, readRoutes } from './routes.ts'

const TABLE = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
vpn0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
`

test('routes are read as the kernel prints them', async () => {
  const routes = parseRoutes(TABLE).map(({ device, subnet }) => `${formatSubnet(subnet)} ${device}`)
  assert.deepEqual(routes, ['0.0.0.0/0 eth0', '192.0.2.0/24 eth0', '10.0.0.0/8 vpn0'])
  for (const { subnet } of await readRoutes()) assert.ok(subnet.prefixBits <= 32)
})

test('a subnet within a route, or around one, is refused and the route is named', () => {
  const routes = parseRoutes(TABLE)
  for (const text of ['10.83.0.0/16', '192.0.2.128/25', '192.0.0.0/16']) {
    assert.throws(() => assertUnrouted(parseSubnet(text), routes, null), {
      reason: 'SUBNET_TAKEN',
    })
  }
  assert.throws(
    () => assertUnrouted(parseSubnet('10.83.0.0/16'), routes, null),
    /10.0.0.0\/8 by vpn0/,
  )
})

test('the default route and the routes of the bridge itself are in nobody his way', () => {
  const routes = parseRoutes(TABLE)
  assertUnrouted(parseSubnet('172.30.0.0/16'), routes, null)
  assertUnrouted(parseSubnet('192.0.2.0/24'), routes, 'eth0')
})
