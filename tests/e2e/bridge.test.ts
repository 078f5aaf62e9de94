/** `network = "bridge"`: who reaches whom and by which name, what stays as it was, and what is left when it ends. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, suite, test } from 'node:test'

import type { AddressView, DeployDifference, InstanceView } from '../../src/api/resources.ts'
import { deployAttacker, inside, manifest } from '../security/attacker.ts'

import { TestNode } from './harness.ts'

const isRoot = process.getuid?.() === 0
const BRIDGE = 'network = "bridge"'

/** What a task gets from a URL, as it sees it. */
async function fetched(node: TestNode, task: string, url: string): Promise<unknown> {
  return await inside(
    node,
    task,
    async (target) => {
      const body = JSON.stringify({ source: 'async () => process.env.QUIVER_TASK' })
      const signal = AbortSignal.timeout(5000)
      try {
        const answer = await fetch(target, { method: 'POST', body, signal })
        return JSON.parse(await answer.text()).value
      } catch (error) {
        return String(Object(Object(error).cause).code ?? error)
      }
    },
    url,
  )
}

/** Interfaces, host name and resolv.conf, from inside. */
async function selfOf(node: TestNode, task: string) {
  return await inside(
    node,
    task,
    async () => {
      const { hostname, networkInterfaces: interfaces } = await import('node:os')
      const { readFileSync: read } = await import('node:fs')
      const own = (interfaces()['eth0'] ?? []).map(({ cidr, mac }) => ({ cidr, mac }))
      return { hostname: hostname(), own, resolv: read('/etc/resolv.conf', 'utf8') }
    },
    null,
  )
}

async function addressesOf(node: TestNode, task: string): Promise<readonly AddressView[]> {
  return (await node.describe(task)).addresses
}

async function instancesOf(node: TestNode, task: string): Promise<readonly InstanceView[]> {
  const { instances } = await node.describe(task)
  return instances.filter(({ exit }) => exit === null)
}

/** Names of interfaces of this machine. */
function devices(): readonly string[] {
  const lines = readFileSync('/proc/net/dev', 'utf8').split('\n').slice(2)
  return lines.map((line) => line.split(':')[0]?.trim() ?? '').filter((name) => name !== '')
}

/** Processes that have something open, by what its link says. */
function holders(link: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === link)
    } catch {
      return false
    }
  })
}

suite('tasks on the bridge', { skip: !isRoot && 'only root can make bridges' }, () => {
  const resources = new AsyncDisposableStack()
  const devicesBefore = devices()
  let node: TestNode
  before(async () => {
    node = resources.use(await TestNode.start())
    await deployAttacker(node, 'alice', BRIDGE)
    await deployAttacker(node, 'bob', BRIDGE)
    await deployAttacker(node, 'private')
    for (const task of ['alice', 'bob', 'private']) await node.get(task)
  })
  after(async () => {
    await resources.disposeAsync()
    assert.deepEqual(devices(), devicesBefore)
  })

  test('have an address, a hardware address and a host name, all known before they start', async () => {
    const folder = await node.writeFiles({
      'quiver.toml': manifest('carol', BRIDGE),
      'server.mjs': '',
    })
    const planned: DeployDifference = JSON.parse(
      await node.ok('deploy', folder, '--dry-run', '--json'),
    )
    assert.equal(planned.addresses.length, 10)
    await deployAttacker(node, 'carol', BRIDGE)
    assert.deepEqual(await addressesOf(node, 'carol'), planned.addresses)
    const [first] = planned.addresses
    assert.ok(first !== undefined)
    await node.get('carol')
    const { hostname, own, resolv } = await selfOf(node, 'carol')
    assert.equal(hostname, 'carol')
    assert.deepEqual(own, [{ cidr: `${first.ip}/${first.prefixBits}`, mac: first.mac }])
    assert.equal(resolv, 'nameserver 127.0.0.53\n')
    const [instance] = await instancesOf(node, 'carol')
    assert.deepEqual(instance?.address, first)
    assert.match(await node.ok('ps', '--instances'), new RegExp(`ADDRESS[^]* ${first.ip}\n`))
    assert.match(
      await node.ok('describe', 'carol'),
      new RegExp(`Address +${first.ip} ${first.mac}`),
    )
    await node.ok('rm', 'carol')
  })

  test('reach one another by name and by address, as if they were on one machine each', async () => {
    const [bob] = await addressesOf(node, 'bob')
    assert.equal(await fetched(node, 'alice', 'http://bob:8000/'), 'bob')
    assert.equal(await fetched(node, 'alice', `http://${bob?.ip}:8000/`), 'bob')
    assert.equal(await fetched(node, 'bob', 'http://alice:8000/'), 'alice')
    assert.equal(await fetched(node, 'bob', 'http://bob:8000/'), 'bob')
    assert.equal(await fetched(node, 'alice', 'http://nobody:8000/'), 'ENOTFOUND')
  })

  test('are not reached by others, and reach neither those nor the machine', async () => {
    const [bob] = await addressesOf(node, 'bob')
    assert.match(String(await fetched(node, 'private', 'http://bob:8000/')), /ENOTFOUND|EAI_AGAIN/)
    assert.equal(await fetched(node, 'private', `http://${bob?.ip}:8000/`), 'ENETUNREACH')
    const server = createServer((socket) => socket.end('secret')).listen(0, '0.0.0.0')
    await once(server, 'listening')
    const listening = server.address()
    assert.ok(typeof listening === 'object' && listening !== null)
    const own = Object.values(networkInterfaces()).flatMap((found = []) => found)
    const hosts = own.filter(({ family }) => family === 'IPv4').map(({ address }) => address)
    // Also around the routes, as a program without any rights may send.
    const said = await inside(
      node,
      'alice',
      async ({ addresses, port }) => {
        const { spawnSync } = await import('node:child_process')
        const dial = (host: string, device: string[]) =>
          spawnSync('/app/probe', ['dial', host, String(port), ...device]).stdout.toString()
        return addresses.flatMap((host) => [dial(host, []), dial(host, ['eth0'])])
      },
      { addresses: [...hosts, '10.83.0.1'], port: listening.port },
    )
    server.close()
    assert.deepEqual([...new Set(said)], [''])
  })

  test('can be nobody else', async () => {
    const said = await inside(
      node,
      'alice',
      async () => {
        const { spawnSync } = await import('node:child_process')
        return spawnSync('/app/probe', ['become', '10.83.0.99']).stdout.toString()
      },
      null,
    )
    assert.equal(said, '')
  })

  test('are found while they run, each instance of a task', async () => {
    await node.ok('scale', 'bob', '3')
    const instances = await instancesOf(node, 'bob')
    const addresses = instances.map(({ address }) => address?.ip ?? '').toSorted()
    assert.equal(new Set(addresses).size, 3)
    const found = await inside(
      node,
      'alice',
      async () => {
        const { lookup } = await import('node:dns/promises')
        return (await lookup('bob', { all: true })).map(({ address }) => address).toSorted()
      },
      null,
    )
    assert.deepEqual(found, addresses)
    await node.ok('stop', 'bob')
    assert.equal(await fetched(node, 'alice', 'http://bob:8000/'), 'ENOTFOUND')
    await node.ok('scale', 'bob', 'auto')
    await node.ok('start', 'bob')
    assert.equal(await fetched(node, 'alice', 'http://bob:8000/'), 'bob')
  })

  test('keep what is declared: other tasks through the proxy, woken when they sleep', async () => {
    await deployAttacker(node, 'dave', `${BRIDGE}\n[[connect]]\ntask = "private"\nas = "other"`)
    await node.get('dave')
    await node.ok('restart', 'private')
    assert.equal(await fetched(node, 'dave', 'http://other/'), 'private')
    await node.ok('rm', 'dave')
  })

  test('have an address of their choice for as long as they exist, also while they are replaced', async () => {
    const flags = ['--ip', '10.83.7.7', '--mac', '02:00:5e:10:00:01', '--hostname', 'db-1']
    const folder = await node.writeFiles({
      'quiver.toml': manifest('fixed', `${BRIDGE}\ndns = ["10.83.0.53"]`),
      'server.mjs': await readServer(node),
    })
    await node.ok('deploy', folder, ...flags)
    await node.get('fixed')
    const self = await selfOf(node, 'fixed')
    assert.deepEqual(self.own, [{ cidr: '10.83.7.7/16', mac: '02:00:5e:10:00:01' }])
    assert.equal(self.hostname, 'db-1')
    assert.equal(self.resolv, 'nameserver 127.0.0.53\nnameserver 10.83.0.53\n')
    for (const url of ['http://fixed:8000/', 'http://db-1:8000/', 'http://10.83.7.7:8000/'])
      assert.equal(await fetched(node, 'alice', url), 'fixed')

    const [old] = await instancesOf(node, 'fixed')
    await node.ok('deploy', folder, ...flags, '--env', 'NEXT=1')
    await node.until('the end of the first instance', async () => {
      const ids = (await instancesOf(node, 'fixed')).map(({ id }) => id)
      return ids.length === 1 && ids[0] !== old?.id ? true : undefined
    })
    assert.deepEqual((await selfOf(node, 'fixed')).own, self.own)
    await node.until('its successor in its place', async () => {
      return (await fetched(node, 'alice', 'http://10.83.7.7:8000/')) === 'fixed' ? true : undefined
    })
    assert.equal(await fetched(node, 'alice', 'http://db-1:8000/'), 'fixed')

    const twin = await node.quiver('deploy', folder, '--name', 'twin', '--ip', '10.83.7.7')
    assert.notEqual(twin.status, 0)
    assert.match(twin.stderr, /the address 10\.83\.7\.7 belongs to the task fixed \(IP_TAKEN\)/)
    assert.equal(
      (await node.ps()).some(({ name }) => name === 'twin'),
      false,
    )
    await node.ok('rm', 'fixed')
  })

  test('ask name servers of their own for what nobody there has', async () => {
    await deployAttacker(node, 'names', BRIDGE)
    await node.get('names')
    await inside(
      node,
      'names',
      async () => {
        const { createSocket } = await import('node:dgram')
        const { networkInterfaces: interfaces } = await import('node:os')
        const socket = createSocket('udp4')
        socket.on('message', (question, { address, port }) => {
          const end = question.indexOf(0, 12) + 5
          const isA = question.readUInt16BE(end - 4) === 1
          const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 77])
          const head = Buffer.from(question.subarray(0, end))
          head.writeUInt16BE(0x8580, 2)
          head.writeUInt16BE(isA ? 1 : 0, 6)
          head.writeUInt32BE(0, 8)
          socket.send(isA ? Buffer.concat([head, record]) : head, port, address)
        })
        // On every address the port is that of PID 1.
        const own = interfaces()['eth0']?.[0]?.address
        await new Promise<void>((resolve) => socket.bind(53, own, resolve))
      },
      null,
    )
    const [names] = await addressesOf(node, 'names')
    await deployAttacker(node, 'asks', `${BRIDGE}\ndns = ["${names?.ip}"]`)
    await node.get('asks')
    const found = await inside(
      node,
      'asks',
      async () => {
        const { lookup } = await import('node:dns/promises')
        const libc = await lookup('somewhere.example')
        return [libc.address, (await lookup('names')).address]
      },
      null,
    )
    assert.deepEqual(found, ['192.0.2.77', names?.ip])
    await node.ok('rm', 'asks', 'names')
  })

  test('of a run are its own, and are free again afterwards', async () => {
    const args = ['-e', 'console.log(require("os").networkInterfaces().eth0[0].address)']
    const flags = ['--network', 'bridge', '--ip', '10.83.7.8']
    for (let round = 0; round < 2; round++) {
      const { stdout, stderr } = await node.quiver('run', ...flags, 'node', '--', ...args)
      assert.equal(stdout.trim(), '10.83.7.8', stderr)
    }
  })
})

/** The server of the attacker, for a folder of one's own. */
async function readServer(node: TestNode): Promise<string> {
  return await inside(
    node,
    'alice',
    async () => (await import('node:fs')).readFileSync('/app/server.mjs', 'utf8'),
    null,
  )
}

suite(
  'the bridge of a node that is killed',
  { skip: !isRoot && 'only root can make bridges' },
  () => {
    test('goes on under the next control process, and nothing of it is left with the last instance', async () => {
      await using node = await TestNode.start()
      const devicesBefore = devices()
      await deployAttacker(node, 'alice', BRIDGE)
      await deployAttacker(node, 'bob', BRIDGE)
      for (const task of ['alice', 'bob']) await node.get(task)
      const addresses = await Promise.all(['alice', 'bob'].map((task) => addressesOf(node, task)))

      const control = await node.pid('control')
      process.kill(control, 'SIGKILL')
      await node.until('another control process', async () => {
        return (await node.pid('control')) === control ? undefined : true
      })
      const adopted = await Promise.all(['alice', 'bob'].map((task) => instancesOf(node, task)))
      assert.deepEqual(
        adopted.map(([instance]) => instance?.address),
        addresses.map(([first]) => first),
      )
      assert.equal(await fetched(node, 'alice', 'http://bob:8000/'), 'bob')
      // Those who come now join those who are there.
      await deployAttacker(node, 'carol', BRIDGE)
      await node.get('carol')
      assert.equal(await fetched(node, 'carol', 'http://alice:8000/'), 'alice')
      assert.equal(await fetched(node, 'alice', 'http://carol:8000/'), 'carol')

      const found = await switchOf(node)
      const ours = holders(found)
      // All of them keep it: control, and PID 1 of each instance.
      assert.ok(ours.length >= 4, String(ours))
      const names = ['supervise', 'control', 'proxy', 'egress'] as const
      const processes = await Promise.all(names.map((name) => node.pid(name)))
      for (const pid of [...processes, ...ours.map(Number)]) kill(pid)
      await node.until('the end of all', async () =>
        holders(found).length === 0 ? true : undefined,
      )
      assert.deepEqual(devices(), devicesBefore)
      await node.up()
      assert.equal((await node.get('alice')).status, 200)
      await node.get('bob')
      assert.equal(await fetched(node, 'alice', 'http://bob:8000/'), 'bob')
      assert.deepEqual(await addressesOf(node, 'bob'), addresses[1])
    })
  },
)

/** Unless it is gone already. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended with another.
  }
}

/** The link of the namespace in which the bridge is. */
async function switchOf(node: TestNode): Promise<string> {
  const folder = `/proc/${await node.pid('control')}/fd`
  const links = readdirSync(folder).map((fd) => linkOf(`${folder}/${fd}`))
  const found = links.find((link) => link.startsWith('net:'))
  assert.ok(found !== undefined, 'control has no switch open')
  return found
}

/** Empty for one that has been closed meanwhile. */
function linkOf(file: string): string {
  try {
    return readlinkSync(file)
  } catch {
    return ''
  }
}
