import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SPEC } from '../../../tests/fixtures/sandbox-node.ts'
import { parseSubnet } from '../../core/ipv4.ts'
import type { InstancePlan } from '../driver.ts'

import { openBridge } from './bridge.ts'
import { buildNames } from './names.ts'

const subnet = parseSubnet('10.83.0.0/16')

/** An instance that has this address. */
function plan(name: string, address: string, hostname: string | null): InstancePlan {
  return {
    id: `${name}-1-abcdef`,
    task: name,
    revision: 1,
    spec: { ...SPEC, name, identity: { hostname, ip: null, mac: null, dns: [] } },
    binaryTree: '/',
    imageTree: '/',
    entry: '/x',
    mounts: [],
    env: {},
    uidIndex: 0,
    relays: [],
    wildcards: [],
    token: '',
    stdio: { isTerminal: false, isHeld: false, hasStdin: false },
    isRun: false,
    bridge: { address, prefixBits: 16, mac: '02:71:0a:53:00:02' },
  }
}

test('a node without root refuses, whatever the machine has', async () => {
  const settings = { name: null, subnet, range: subnet, gateway: null }
  const bridge = openBridge({ settings, ainitPath: '/x', namesFolder: '/x', isRoot: false })
  await assert.rejects(bridge.check(), { reason: 'BRIDGE_NEEDS_ROOT' })
})

test('instances are listed by task and host name, each once, and never as everybody', () => {
  const plans = [
    plan('shop', '10.83.0.3', null),
    plan('db', '10.83.0.2', 'db-1'),
    plan('localhost', '10.83.0.4', null),
    { ...plan('private', '10.83.0.5', null), bridge: undefined },
  ]
  assert.equal(buildNames(plans), '10.83.0.2 db\n10.83.0.2 db-1\n10.83.0.3 shop\n')
})
