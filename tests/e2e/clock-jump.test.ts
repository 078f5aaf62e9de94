/** The wall clock of the machine is set while a node runs: by a day, back, and by ten years. All that waits goes on. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import type { EventView } from '../../src/api/resources.ts'

import { TestNode, type HttpResult } from './harness.ts'
import { Traffic, TRAFFIC_SERVER } from './traffic.ts'
import { hasWallClock, WallClock } from './wall-clock.ts'
import { instancesOf, killProcess, liveInstance } from './wreck.ts'

const DAY_MS = 86_400_000
const DEADLINE_MS = 60_000
const JUMPS = [
  { to: '+1d', ms: DAY_MS },
  { to: '-1d', ms: -DAY_MS },
  { to: '+10y', ms: 3650 * DAY_MS },
] as const

const manifest = (name: string, more = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
${more}
`

/** Listens after START_MS, and answers after as many milliseconds as the path says. */
const SLOW_SERVER = `
import { createServer } from 'node:http'
const { START_MS = '0' } = process.env
const server = createServer(({ url }, response) => {
  console.log('asked for ' + url)
  if (url === '/never') return
  setTimeout(() => response.end('answered'), Number(url.slice(1)))
})
if (START_MS === 'never') setInterval(() => {}, 1000)
else setTimeout(() => server.listen(8000), Number(START_MS))
`

suite('the clock is set while a node runs', { skip: !hasWallClock && 'needs faketime' }, () => {
  let clock: WallClock
  let node: TestNode
  before(async () => {
    clock = await WallClock.open()
    node = await TestNode.startWith(clock.env, '--listen-https', '127.0.0.1:0')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
    await clock[Symbol.asyncDispose]()
  })

  const deploy = async (name: string, more = '', server = SLOW_SERVER): Promise<void> => {
    await node.deployFiles({ 'quiver.toml': manifest(name, more), 'server.mjs': server })
  }

  const inState = async (name: string, state: string): Promise<true | undefined> =>
    (await node.describe(name)).state === state ? true : undefined

  const events = async (task: string, ...flags: string[]): Promise<readonly EventView[]> => {
    const lines = (await node.ok('events', '--task', task, '--json', ...flags)).trim().split('\n')
    return lines.map((line) => JSON.parse(line))
  }

  for (const { to, ms } of JUMPS) {
    /** Names of tasks differ, so that one jump has nothing to do with the next. */
    const named = (name: string): string => `${name}-${ms < 0 ? 'back' : 'ahead'}${to.slice(1)}`

    test(`${to}: what is under way goes on, and so do new requests, deployments and adoption`, async () => {
      await clock.set('+0')
      const [busy, fresh] = [named('busy'), named('fresh')]
      await deploy(
        busy,
        '[scale]\nmax = 1\npause_after = "200ms"\nstop_after = "1h"',
        TRAFFIC_SERVER,
      )
      await node.get(busy)
      const old = await liveInstance(node, busy)
      const traffic = new Traffic(node, busy)
      await traffic.flow()

      await clock.set(to)
      await traffic.flow()
      await deploy(fresh)
      assert.equal((await node.get(fresh)).body, 'answered')
      const [deployed] = await events(fresh)
      const seenMs = (deployed?.atMs ?? 0) - Date.now()
      assert.ok(Math.abs(seenMs - ms) < DAY_MS / 2, `control is ${seenMs} ms ahead`)
      await killProcess(node, 'control')
      await traffic.flow()
      await node.ok('ps')
      await clock.set('+0')
      await traffic.flow()

      const { failures, instances } = await traffic.stop()
      assert.deepEqual(failures, [])
      assert.deepEqual([...instances], [old.id])
      const now = await liveInstance(node, busy)
      assert.deepEqual([now.id, now.createdAtMs], [old.id, old.createdAtMs])
      await node.until('pausing', () => inState(busy, 'paused'))
    })

    test(`${to}: timeouts, back-off and idle times are as long as they were`, async () => {
      await clock.set('+0')
      const [slow, starting, stuck] = [named('slow'), named('starting'), named('stuck')]
      const [looping, idle] = [named('looping'), named('idle')]
      await deploy(slow, '[limits]\nrequest_timeout = "4s"')
      await deploy(starting, '[env]\nSTART_MS = "1500"')
      await deploy(stuck, '[env]\nSTART_MS = "never"\n[limits]\nstart_timeout = "3s"')
      await deploy(looping, '', 'process.exit(1)')
      await deploy(idle, '[scale]\npause_after = "2s"\nstop_after = "4s"')
      await Promise.all([node.get(slow), node.get(idle)])
      await node.until('a back-off', async () => {
        const { headers } = await node.get(looping)
        return Number(headers['retry-after']) >= 2 ? true : undefined
      })
      const waiting = Promise.all([
        node.get(slow, '/1500'),
        node.get(slow, '/never'),
        node.get(starting),
        node.get(stuck),
      ])
      await node.until('requests', async () => {
        const { inFlight } = await liveInstance(node, slow)
        return inFlight === 2 ? inState(starting, 'starting') : undefined
      })
      const idleSinceMs = performance.now()
      await node.get(idle)

      await clock.set(to)
      const { backOffUntilMs } = await node.describe(looping)
      const leftMs = (backOffUntilMs ?? Number.NaN) - Date.now() - ms
      assert.ok(leftMs > -DEADLINE_MS && leftMs < DEADLINE_MS, `it backs off for ${leftMs} ms`)
      await node.until('pausing', () => inState(idle, 'paused'))
      assert.ok(performance.now() - idleSinceMs > 1900, 'it was paused early')
      await node.until('stopping', () => inState(idle, 'idle'))
      assert.ok(performance.now() - idleSinceMs > 3900, 'it was stopped early')
      const [answered, unanswered, started, unstarted] = await waiting
      assert.deepEqual([answered.status, started.status], [200, 200])
      assert.deepEqual(reasonOf(unanswered), [504, 'REQUEST_TIMEOUT'])
      assert.deepEqual(reasonOf(unstarted), [504, 'START_TIMEOUT'])
      await node.until('the end of the back-off', async () =>
        (await node.describe(looping)).backOffUntilMs === null ? true : undefined,
      )
    })
  }

  test('ages and times are what the clock says, and never less than nothing', async () => {
    await clock.set('+0')
    await deploy('teller', '[scale]\nstop_after = "1h"')
    const seen: string[] = []
    for (const [index, to] of ['+0', '+1d', '-1d', '+10y'].entries()) {
      await clock.set(to)
      await node.get('teller', `/${index}`)
      await node.ok('scale', 'teller', 'auto')
      const [, age] = /^teller\s.*\s(\S+)\s+http/m.exec(await node.ok('ps')) ?? []
      seen.push(`${age} ${(await events('teller', '--since', '10m')).length}`)
      assert.doesNotMatch(await node.ok('describe', 'teller'), /-\d+(\.\d+)? ?(ms|s|m|h|d)\b/)
    }
    // At first it was deployed, started and scaled. A day later that is long ago; a day before, nothing is.
    const [first = '', ...later] = seen
    assert.match(first, /^\d+s 4$/)
    assert.deepEqual(later, ['1d 1', '0s 6', '3650d 1'])
    const lines = (await node.ok('logs', 'teller')).trim().split('\n')
    assert.deepEqual(
      lines,
      [0, 1, 2, 3].map((index) => `asked for /${index}`),
    )
  })

  test('what ended last is known, whatever the clock said then', async () => {
    await clock.set('+0')
    await deploy('ended')
    const ids: string[] = []
    for (const to of ['+10y', '+1d', '+0', '+0', '+0', '-1d']) {
      await clock.set(to)
      await node.get('ended')
      ids.push((await liveInstance(node, 'ended')).id)
      await node.ok('stop', 'ended')
      await node.ok('start', 'ended')
    }
    const kept = async () => {
      const ended = (await instancesOf(node, 'ended')).filter(({ exit }) => exit !== null)
      return ended.map(({ id }) => id)
    }
    const newest = ids.toReversed().slice(0, 5)
    assert.deepEqual(await kept(), newest)
    await killProcess(node, 'control')
    assert.deepEqual(await kept(), newest)
  })

  test('a certificate that is over is made again by the next start', async () => {
    await clock.set('+10y')
    const file = path.join(node.data, 'tls', 'cert.pem')
    const old = await readFile(file)
    await node.down()
    await node.up()
    const made = new X509Certificate(await readFile(file))
    assert.ok(new X509Certificate(old).validToDate.getTime() < Date.now() + 3651 * DAY_MS)
    assert.ok(made.validToDate.getTime() > Date.now() + 2 * 3649 * DAY_MS)
  })
})

function reasonOf({ status, body }: HttpResult): readonly [number, unknown] {
  return [status, JSON.parse(body).reason]
}
