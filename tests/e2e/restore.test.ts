/** Control, proxy and egress are killed, or replaced by newer ones, while users go on: none of them may notice. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { TestNode } from './harness.ts'
import { Traffic, TRAFFIC_SERVER } from './traffic.ts'
import { gone, instancesOf, killProcess, liveInstance, strays } from './wreck.ts'

const manifest = (name: string, scale: string, http = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
${http}
[scale]
max = 1
${scale}
`

const hasRedis = existsSync('/usr/bin/redis-server')

const endControl = {
  'killed -9': (node: TestNode) => killProcess(node, 'control'),
  'replaced on SIGHUP': async (node: TestNode) => {
    const old = await node.pid('control')
    process.kill(await node.pid('supervise'), 'SIGHUP')
    await gone(node, old)
    return old
  },
} as const

suite('processes of a node end under load', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const deploy = async (name: string, scale = '', http = '') => {
    const files = { 'quiver.toml': manifest(name, scale, http), 'server.mjs': TRAFFIC_SERVER }
    await node.deployFiles(files)
  }

  for (const [how, end] of Object.entries(endControl)) {
    const task = `busy-${how.includes('9') ? 'killed' : 'replaced'}`

    test(`control is ${how}: no request fails, nothing is cut, all is known`, async () => {
      await deploy(task, 'pause_after = "200ms"\nstop_after = "1h"')
      await node.get(task)
      const old = await liveInstance(node, task)
      const traffic = new Traffic(node, task)
      await traffic.flow()
      for (let round = 0; round < 3; round++) {
        const pid = await end(node)
        await traffic.flow()
        await node.ok('ps')
        assert.notEqual(await node.pid('control'), pid)
        await traffic.flow()
      }
      const { failures, instances, ...carried } = await traffic.stop()
      assert.deepEqual(failures, [])
      assert.deepEqual([...instances], [old.id])

      const now = await liveInstance(node, task)
      assert.equal(now.id, old.id)
      assert.equal(now.createdAtMs, old.createdAtMs)
      assert.deepEqual(now.phases, old.phases)
      const names = now.phases.map(({ name }) => name)
      for (const name of ['materialise', 'sandbox', 'exec', 'listen', 'firstByte'] as const) {
        assert.ok(names.includes(name), `${name} is not among ${names.join(' ')}`)
      }
      const logged = (await node.ok('logs', task)).trim().split('\n')
      assert.equal(logged.length, carried.requests + 1)
      const numbers = logged.map((line) => Number(/request (\d+)$/.exec(line)?.[1]))
      assert.deepEqual(
        numbers,
        Array.from(numbers, (_, index) => index),
      )

      const events = await eventsOf(node, task)
      assert.equal(events.filter(({ type }) => type === 'instanceAdopted').length, 3)
      // Once its users have gone, it is idle.
      await node.until('pausing', async () =>
        (await node.describe(task)).state === 'paused' ? true : undefined,
      )
    })
  }

  test('an idle time goes on where it was: neither at once, nor from the beginning', async () => {
    await deploy('idler', 'pause_after = "4s"\nstop_after = "7s"')
    await node.get('idler')
    const askedAtMs = Date.now()
    await delay(2000)
    await killProcess(node, 'control')
    await node.ok('ps')
    const stopped = async () => {
      const { instances } = await node.describe('idler')
      return instances[0]?.exit?.reason === 'IDLE' ? true : undefined
    }
    await node.until('stopping', stopped)
    const events = await eventsOf(node, 'idler')
    const at = (type: string) => events.find((event) => event.type === type)?.atMs ?? NaN
    assert.ok(at('instancePaused') - askedAtMs > 3900, 'it was paused early')
    assert.ok(at('instancePaused') - at('instanceAdopted') < 4000, 'its idle time began anew')
    assert.ok(at('instanceExited') - askedAtMs > 6900, 'it was stopped early')
  })

  test('control is killed while an old revision drains: what it carries is not cut', async () => {
    await deploy('drained')
    await node.get('drained')
    const traffic = new Traffic(node, 'drained')
    await traffic.flow()
    await deploy('drained', 'concurrency = 40')
    // The stream, the upload and the WebSocket are still the old one's.
    await traffic.flow()
    for (let round = 0; round < 2; round++) {
      await killProcess(node, 'control')
      await traffic.flow()
      await node.ok('ps')
      await traffic.flow()
    }
    const { failures, instances } = await traffic.stop()
    assert.deepEqual(failures, [])
    assert.equal(instances.size, 2)
    const left = await node.until('the end of the old one', () => liveInstance(node, 'drained'))
    assert.equal(left.revision, 2)
  })

  test('a paused instance is adopted as one, and resumed by a request', async () => {
    await deploy('sleeper', 'pause_after = "50ms"\nstop_after = "1h"')
    await node.get('sleeper')
    const paused = async () =>
      (await node.describe('sleeper')).state === 'paused' ? true : undefined
    await node.until('pausing', paused)
    const { id } = await liveInstance(node, 'sleeper')
    await killProcess(node, 'control')
    // Sent while nobody can resume it.
    const answer = await node.get('sleeper')
    assert.deepEqual([answer.status, answer.start, answer.body], [200, 'resumed', id])
  })

  test('first requests that come while control is away wait, and are answered', async () => {
    await deploy('newcomer', 'concurrency = 100')
    await killProcess(node, 'control')
    const answers = await Promise.all(Array.from({ length: 20 }, () => node.get('newcomer')))
    for (const { status, start } of answers) assert.deepEqual([status, start], [200, 'cold'])
    await liveInstance(node, 'newcomer')
  })

  test('the proxy is killed: it comes back, requests wait in the socket, instances stay', async () => {
    await deploy('routed', 'pause_after = "300ms"\nstop_after = "1h"', 'sticky = "cookie"')
    const first = await node.get('routed')
    const cookie = String(first.headers['set-cookie']).split(';')[0] ?? ''
    for (let round = 0; round < 3; round++) {
      const pid = await killProcess(node, 'proxy')
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => node.get('routed', '/', { headers: { cookie } })),
      )
      for (const { status, body } of answers) assert.deepEqual([status, body], [200, first.body])
      assert.notEqual(await node.pid('proxy'), pid)
    }
    await node.until('pausing', async () =>
      (await node.describe('routed')).state === 'paused' ? true : undefined,
    )
    assert.equal((await node.get('routed')).body, first.body)
  })

  test('the proxy is killed, then control: what was counted stays counted', async () => {
    await deploy('counted', 'stop_after = "1h"')
    for (let index = 0; index < 3; index++) await node.get('counted')
    await untilCounted(node, 3)
    for (const [index, name] of (['proxy', 'control', 'proxy'] as const).entries()) {
      await killProcess(node, name)
      await node.get('counted')
      await untilCounted(node, 4 + index)
    }
  })

  test('the proxy is killed with streams: they end, and do not keep the instance awake', async () => {
    await deploy('streamed', 'pause_after = "300ms"\nstop_after = "1h"')
    await node.get('streamed')
    const traffic = new Traffic(node, 'streamed')
    await traffic.flow()
    await killProcess(node, 'proxy')
    const { failures } = await traffic.stop()
    assert.ok(failures.some((failure) => failure.startsWith('stream')))
    await node.until('pausing', async () =>
      (await node.describe('streamed')).state === 'paused' ? true : undefined,
    )
    assert.equal((await instancesOf(node, 'streamed')).length, 1)
  })

  test(
    'egress is killed: outgoing connections wait for it, and work',
    { skip: !hasRedis },
    async () => {
      await node.deployExample('redis')
      await node.deployExample('node-redis')
      const visit = async () => (await node.get('node-redis')).body
      assert.equal(await visit(), 'visit number 1\n')
      for (let round = 0; round < 3; round++) {
        const pid = await killProcess(node, 'egress')
        assert.equal(await visit(), `visit number ${2 * round + 2}\n`)
        assert.notEqual(await node.pid('egress'), pid)
        // Grants are the new control's to tell.
        await killProcess(node, 'control')
        assert.equal(await visit(), `visit number ${2 * round + 3}\n`)
      }
      for (const task of ['redis', 'node-redis']) await liveInstance(node, task)
    },
  )

  test('nothing is left of what was killed', async () => {
    assert.deepEqual(await strays(node), [])
  })
})

async function eventsOf(node: TestNode, task: string) {
  const lines = (await node.ok('events', '--task', task, '--json')).trim().split('\n')
  return lines.map((line): { readonly type: string; readonly atMs: number } => JSON.parse(line))
}

/** Resolves when the task, its statuses and its instance have as many. */
async function untilCounted(node: TestNode, count: number): Promise<void> {
  await node.until(`${count} requests`, async () => {
    const [instance] = await instancesOf(node, 'counted')
    const { requests, counters } = await node.describe('counted')
    const counts = [requests, counters?.statuses['2xx'], instance?.requests]
    return counts.every((one) => one === count) ? true : undefined
  })
}
