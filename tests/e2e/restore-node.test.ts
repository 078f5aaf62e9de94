/** The supervisor or everything of a node is killed, the machine is rebooted, two nodes share it: what is ours comes back. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import path from 'node:path'
import { json } from 'node:stream/consumers'
import { suite, test } from 'node:test'

import { TestNode, type ProcessName } from './harness.ts'
import { Traffic, TRAFFIC_SERVER } from './traffic.ts'
import {
  gone,
  isLive,
  killAll,
  killProcess,
  liveInstance,
  nodeId,
  processesOf,
  strays,
} from './wreck.ts'

const hasRedis = existsSync('/usr/bin/redis-server')

const manifest = (name: string, more = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
${more}
`

async function deploy(node: TestNode, name: string, more = ''): Promise<void> {
  await node.deployFiles({ 'quiver.toml': manifest(name, more), 'server.mjs': TRAFFIC_SERVER })
}

const DAEMONS: readonly ProcessName[] = ['supervise', 'control', 'proxy', 'egress']

/** All processes of the node at once, instances too. @returns pids of the instances' processes */
async function killEverything(node: TestNode): Promise<readonly number[]> {
  const tasks = await Promise.all((await node.ps()).map(({ name }) => node.describe(name)))
  const live = tasks.flatMap(({ instances }) => instances).filter(isLive)
  const inside = await Promise.all(live.map(({ id }) => processesOf(node, id)))
  const instances = inside.flatMap((processes) => Object.values(processes))
  const daemons = await Promise.all(DAEMONS.map((name) => node.pid(name)))
  killAll([...daemons, ...instances])
  await Promise.all(daemons.map((pid) => gone(node, pid)))
  return instances
}

/** No process, no control group and no socket survives that; files do. */
async function reboot(node: TestNode): Promise<void> {
  const pids = await killEverything(node)
  const [frozen, groups] = ['/*/task/freezer.state', ''].map((suffix) =>
    globSync(`/sys/fs/cgroup/{,*/}quiver/${nodeId(node)}${suffix}`),
  )
  for (const state of frozen ?? []) await writeFile(state, 'THAWED')
  await Promise.all(pids.map((pid) => gone(node, pid)))
  for (const group of groups ?? []) await removeGroups(group)
  await rm(node.run, { recursive: true })
}

async function assertClean(node: TestNode): Promise<void> {
  await node.until('the end of what is left', async () =>
    (await strays(node)).length === 0 ? true : undefined,
  )
}

suite('a node is killed', () => {
  test('the supervisor: the rest ends by itself, "up" adopts the instances', async () => {
    await using node = await TestNode.start()
    await deploy(node, 'kept')
    const { body: id } = await node.get('kept')
    const others = await Promise.all(DAEMONS.slice(1).map((name) => node.pid(name)))
    await killProcess(node, 'supervise')
    await Promise.all(others.map((pid) => gone(node, pid)))
    await node.up()
    assert.equal((await liveInstance(node, 'kept')).id, id)
    const answer = await node.get('kept')
    assert.deepEqual([answer.status, answer.start, answer.body], [200, 'warm', id])
    await assertClean(node)
  })

  test('the supervisor: adopted instances reach others again', { skip: !hasRedis }, async () => {
    await using node = await TestNode.start()
    await node.deployExample('redis')
    await node.deployExample('node-redis')
    assert.equal((await node.get('node-redis')).body, 'visit number 1\n')
    const before = await Promise.all(
      ['redis', 'node-redis'].map((task) => liveInstance(node, task)),
    )
    await killProcess(node, 'supervise')
    await node.up()
    assert.equal((await node.get('node-redis')).body, 'visit number 2\n')
    const now = await Promise.all(['redis', 'node-redis'].map((task) => liveInstance(node, task)))
    assert.deepEqual(
      now.map(({ id }) => id),
      before.map(({ id }) => id),
    )
  })

  for (const isRebooted of [false, true]) {
    const what = isRebooted ? 'and the machine starts anew' : 'at once'
    test(`everything, ${what}: leftovers go, tasks come back on request`, async () => {
      await using node = await TestNode.start()
      await deploy(node, 'running')
      await deploy(node, 'paused', '[scale]\npause_after = "50ms"\nstop_after = "1h"')
      await deploy(node, 'halted')
      await node.get('running')
      await node.get('paused')
      await node.until('pausing', async () =>
        (await node.describe('paused')).state === 'paused' ? true : undefined,
      )
      await node.ok('stop', 'halted')
      await (isRebooted ? reboot(node) : killEverything(node))
      await node.up()
      const states = Object.fromEntries((await node.ps()).map(({ name, state }) => [name, state]))
      assert.deepEqual(states, { halted: 'stopped', paused: 'idle', running: 'idle' })
      assert.deepEqual(await strays(node), [])
      for (const task of ['running', 'paused']) {
        const answer = await node.get(task)
        assert.deepEqual([answer.status, answer.start], [200, 'cold'])
        const { instances } = await node.describe(task)
        assert.ok(instances.some(({ exit }) => exit?.reason === 'LOST'))
      }
      assert.equal((await node.get('halted')).status, 503)
      await assertClean(node)
    })
  }

  test('a second node on the same data is refused, and told of the first', async () => {
    await using node = await TestNode.start()
    const { status, stderr } = await node.quiver('up', '--listen-http', '127.0.0.1:0')
    assert.notEqual(status, 0)
    assert.match(stderr, /NODE_RUNNING/)
    assert.match(stderr, new RegExp(`\\b${await node.pid('supervise')}\\b`))
    await deploy(node, 'unharmed')
    assert.equal((await node.get('unharmed')).status, 200)
  })

  test('one of two nodes: the other one serves on, and loses nothing', async () => {
    await using node = await TestNode.start()
    await using other = await TestNode.start()
    for (const each of [node, other]) {
      await deploy(each, 'twin')
      await each.get('twin')
    }
    const { id } = await liveInstance(other, 'twin')
    const traffic = new Traffic(other, 'twin')
    await traffic.flow()
    for (let round = 0; round < 2; round++) {
      await killEverything(node)
      await traffic.flow()
      await node.up()
      assert.equal((await node.get('twin')).status, 200)
      await traffic.flow()
    }
    const { failures } = await traffic.stop()
    assert.deepEqual(failures, [])
    assert.equal((await liveInstance(other, 'twin')).id, id)
    await assertClean(node)
    await assertClean(other)
  })

  test('SIGTERM lets requests end, then instances, also stubborn ones: nothing is left', async () => {
    const node = await TestNode.start()
    const stubborn = `process.on('SIGTERM', () => {})${TRAFFIC_SERVER}`
    const limits = '[limits]\nstop_timeout = "5m"'
    await node.deployFiles({
      'quiver.toml': manifest('draining', limits),
      'server.mjs': stubborn,
    })
    const upload = request({
      host: '127.0.0.1',
      port: node.httpPort,
      path: '/upload',
      method: 'POST',
      headers: { host: 'draining.localhost' },
    })
    const answered = once(upload, 'response')
    upload.write('begun')
    await node.until('a request in flight', async () =>
      (await liveInstance(node, 'draining')).inFlight === 1 ? true : undefined,
    )
    const ended = node.down()
    await node.until('draining', async () =>
      node.log.includes('proxy: drains') ? true : undefined,
    )
    upload.end(', ended')
    const [answer]: IncomingMessage[] = await answered
    assert.ok(answer !== undefined)
    assert.deepEqual(await json(answer), { bytes: 'begun, ended'.length })
    await ended
    assert.doesNotMatch(node.log, /control did not end/)
    assert.deepEqual(globSync(`/sys/fs/cgroup/{,*/}quiver/${nodeId(node)}`), [])
    assert.ok(!existsSync(node.run))
    await node[Symbol.asyncDispose]()
  })

  test("what is somebody else's in our folders stays as it is", async () => {
    await using node = await TestNode.start()
    await deploy(node, 'mine')
    await node.get('mine')
    const group = `/sys/fs/cgroup/freezer/quiver/${nodeId(node)}/somebody`
    const file = path.join(node.data, 'instances', 'notes.txt')
    const folder = path.join(node.data, 'instances', 'somebodys')
    const socket = path.join(node.run, 'i', 'somebodys.c')
    await mkdir(group)
    await mkdir(folder)
    await writeFile(path.join(folder, 'plan.json'), '{}')
    for (const each of [file, socket]) await writeFile(each, 'not yours')
    await killProcess(node, 'control')
    assert.equal((await node.get('mine')).status, 200)
    await killEverything(node)
    await node.up()
    assert.equal((await node.get('mine')).status, 200)
    for (const each of [group, file, folder, socket]) assert.ok(existsSync(each), each)
    await rmdir(group)
    await rm(socket)
  })
})

async function removeGroups(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeGroups(path.join(folder, entry.name))
  }
  await rmdir(folder)
}
