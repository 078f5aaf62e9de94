/**
 * Instances on a bridge that the machine has: in a network namespace of the test's own, where bridges and routes are nobody
 * else's. The test starts itself there.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'

import { deployAttacker, manifest } from '../security/attacker.ts'

import { TestNode } from './harness.ts'

const isRoot = process.getuid?.() === 0
const INSIDE = 'QUIVER_TEST_NETWORK'
const BRIDGE = 'network = "bridge"'

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('busybox', ['ip', ...args], { encoding: 'utf8' })
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`)
}

function devices(): readonly string[] {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n').slice(2, -1)
  return lines.map((line) => line.split(':')[0]?.trim() ?? '').toSorted()
}

/** A bridge of the machine, which has an address on it. */
class Bridge implements Disposable {
  readonly name: string

  constructor(name: string, address: string) {
    this.name = name
    ip('link', 'add', name, 'type', 'bridge')
    ip('address', 'add', address, 'dev', name)
    ip('link', 'set', name, 'up')
  }

  [Symbol.dispose](): void {
    ip('link', 'del', this.name)
  }
}

async function ask(address: string): Promise<string> {
  const body = JSON.stringify({ source: 'async () => process.env.QUIVER_TASK' })
  const signal = AbortSignal.timeout(5000)
  const answer = await fetch(`http://${address}:8000/`, { method: 'POST', body, signal })
  return JSON.parse(await answer.text()).value
}

if (isRoot && process.env[INSIDE] === undefined) {
  test('bridges of the machine, in a network of their own', () => {
    const start = 'busybox ip link set lo up && exec "$@"'
    const own = ['--net', 'sh', '-c', start, 'sh', process.execPath, '--test', import.meta.filename]
    // With it, the inner runner would report to the outer one.
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined }
    const result = spawnSync('unshare', own, { env, encoding: 'utf8' })
    assert.equal(result.status, 0, result.stdout + result.stderr)
  })
} else {
  suite('a bridge of the machine', { skip: !isRoot && 'only root can make bridges' }, () => {
    test('is one that instances are on with whoever else is there, and is left as it was', async () => {
      using bridge = new Bridge('br-test', '192.168.77.1/24')
      const before = devices()
      {
        await using node = await TestNode.startWith({
          QUIVER_BRIDGE_NAME: bridge.name,
          QUIVER_BRIDGE_SUBNET: '192.168.77.0/24',
          QUIVER_BRIDGE_RANGE: '192.168.77.128/25',
          QUIVER_BRIDGE_GATEWAY: '192.168.77.1',
        })
        await deployAttacker(node, 'alice', BRIDGE)
        await deployAttacker(node, 'fixed', `${BRIDGE}\nip = "192.168.77.9"\n[scale]\nmax = 1`)
        for (const task of ['alice', 'fixed']) await node.get(task)
        const [address] = (await node.describe('alice')).addresses
        assert.equal(address?.ip, '192.168.77.128')
        assert.equal(await ask(address.ip), 'alice')
        assert.equal(await ask('192.168.77.9'), 'fixed')
        assert.equal(devices().length, before.length + 2)
        // By way of the gateway: this machine has that address, too.
        ip('address', 'add', '203.0.113.5/32', 'dev', 'lo')
        const { stdout } = await node.quiver(
          'exec',
          'alice',
          '--',
          '/app/probe',
          'dial',
          '203.0.113.5',
          String(node.httpPort),
        )
        assert.match(stdout, /^$/, 'the proxy listens on loopback alone')
        const gateway = await node.quiver(
          'deploy',
          await folderOf(node, 'twin'),
          '--ip',
          '192.168.77.1',
        )
        assert.match(gateway.stderr, /192\.168\.77\.1 is the gateway of the bridge \(IP_OUTSIDE\)/)
      }
      assert.deepEqual(devices(), before)
    })

    test('has to be there', async () => {
      await using node = await TestNode.startWith({ QUIVER_BRIDGE_NAME: 'br-none' })
      const missing = await node.quiver('deploy', await folderOf(node, 'alice'))
      assert.match(missing.stderr, /this machine has no bridge "br-none".*\(BRIDGE_MISSING\)/)
      await using other = await TestNode.startWith({ QUIVER_BRIDGE_NAME: 'lo' })
      const wrong = await other.quiver('deploy', await folderOf(other, 'alice'))
      assert.match(wrong.stderr, /this machine has no bridge "lo"/)
    })

    test('is named when it has gone since a task was deployed', async () => {
      const settings = { QUIVER_BRIDGE_NAME: 'br-gone', QUIVER_BRIDGE_SUBNET: '192.168.78.0/24' }
      await using node = await TestNode.startWith(settings)
      {
        using bridge = new Bridge('br-gone', '192.168.78.1/24')
        await deployAttacker(node, 'alice', BRIDGE)
        assert.ok(bridge.name.length > 0)
      }
      const { status, body } = await node.get('alice')
      assert.equal(status, 502)
      assert.match(body, /BRIDGE_MISSING.*this machine has no bridge \\?"br-gone/)
    })

    test('of another subnet is in the way of ours, and is named', async () => {
      using bridge = new Bridge('br-other', '10.83.4.1/24')
      await using node = await TestNode.start()
      const refused = await node.quiver('deploy', await folderOf(node, 'alice'))
      assert.match(
        refused.stderr,
        /10\.83\.0\.0\/16.*a route to 10\.83\.4\.0\/24 by br-other \(SUBNET_TAKEN\)/,
      )
      assert.match(refused.stderr, /hint: Set bridge\.subnet/)
      assert.deepEqual(await node.ps(), [])
      assert.ok(bridge.name.length > 0)
    })
  })
}

async function folderOf(node: TestNode, name: string): Promise<string> {
  return await node.writeFiles({ 'quiver.toml': manifest(name, BRIDGE), 'server.mjs': '' })
}
