/** The processes of an instance are killed from outside, and runs end while control is away: told, replaced, cleaned. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { TestNode } from './harness.ts'
import { gone, instancesOf, killProcess, liveInstance, processesOf, strays } from './wreck.ts'

const SERVER = `
import { createServer } from 'node:http'
createServer((request, response) => {
  if (request.url === '/silent') return
  if (request.url === '/half') return void response.write('half')
  response.end(process.env.QUIVER_INSTANCE)
}).listen(process.env.PORT)
`

const manifest = (name: string, scale = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
[scale]
max = 1
${scale}
`

/** What is killed, and how its end is told. */
const VICTIMS = {
  ainit: 'KILLED',
  bwrap: 'KILLED',
  task: 'SIGNALED',
} as const

type Victim = keyof typeof VICTIMS

suite('an instance is killed from outside', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const kill = async (task: string, victim: Victim): Promise<string> => {
    const { id } = await liveInstance(node, task)
    const pids = await processesOf(node, id)
    process.kill(pids[victim], 'SIGKILL')
    return id
  }

  const assertClean = async () => {
    await node.until('the end of what is left', async () =>
      (await strays(node)).length === 0 ? true : undefined,
    )
  }

  for (const [victim, reason] of entriesOf(VICTIMS)) {
    test(`${victim}: requests in flight are told why, the next one starts another`, async () => {
      const task = `kill-${victim}`
      await node.deployFiles({ 'quiver.toml': manifest(task), 'server.mjs': SERVER })
      await node.get(task)
      const silent = node.get(task, '/silent')
      const half = await openHalf(node, task)
      await node.until('requests in flight', async () =>
        (await liveInstance(node, task)).inFlight === 2 ? true : undefined,
      )
      const id = await kill(task, victim)

      const broken = await silent
      assert.equal(broken.status, 502)
      assert.equal(JSON.parse(broken.body).reason, 'INSTANCE_DIED')
      await assert.rejects(text(half), 'half an answer looks whole')

      const next = await node.get(task)
      assert.deepEqual([next.status, next.start], [200, 'cold'])
      assert.notEqual(next.body, id)
      const dead = (await instancesOf(node, task)).find((instance) => instance.id === id)
      assert.deepEqual([dead?.state, dead?.exit?.reason], ['failed', reason])
      const events = await node.ok('events', '--task', task)
      assert.match(events, new RegExp(`instanceExited.*${id}.*${reason}`))
      await assertClean()
    })

    test(`${victim}, while it is frozen: the next request is answered`, async () => {
      const task = `freeze-${victim}`
      const scale = 'pause_after = "50ms"\nstop_after = "1h"'
      await node.deployFiles({ 'quiver.toml': manifest(task, scale), 'server.mjs': SERVER })
      await node.get(task)
      await node.until('pausing', async () =>
        (await node.describe(task)).state === 'paused' ? true : undefined,
      )
      const id = await kill(task, victim)
      // It dies when it is thawed, at the latest: this request may find it just so.
      const first = await node.get(task)
      if (first.status !== 200) assert.equal(JSON.parse(first.body).reason, 'INSTANCE_DIED')
      const dead = await node.until('its end', async () =>
        (await instancesOf(node, task)).find((one) => one.id === id && one.exit !== null),
      )
      assert.deepEqual([dead.state, dead.exit?.reason], ['failed', reason])
      const next = await node.get(task)
      assert.equal(next.status, 200, next.body)
      assert.notEqual(next.body, id)
      await assertClean()
    })

    test(`${victim}, while control is away: it is found dead, and replaced`, async () => {
      const task = `unseen-${victim}`
      await node.deployFiles({ 'quiver.toml': manifest(task), 'server.mjs': SERVER })
      await node.get(task)
      const { id } = await liveInstance(node, task)
      const pids = await processesOf(node, id)
      await killProcess(node, 'control')
      process.kill(pids[victim], 'SIGKILL')
      // The kernel ends PID 1's children after it: until then the task answers.
      await gone(node, victim === 'ainit' ? pids.task : pids[victim])
      const next = await node.get(task)
      assert.equal(next.status, 200, next.body)
      // An outer bwrap only waits: without it the instance lives on.
      if (victim === 'bwrap') assert.equal(next.body, id)
      else assert.notEqual(next.body, id)
      await assertClean()
    })
  }

  test('an end is told once, with its reason, however often control is restarted', async () => {
    const scale = 'stop_after = "50ms"'
    await node.deployFiles({ 'quiver.toml': manifest('told', scale), 'server.mjs': SERVER })
    await node.get('told')
    const find = async () => {
      const { instances } = await node.describe('told')
      return instances.every(({ exit }) => exit !== null) ? instances : undefined
    }
    const [ended] = await node.until('stopping', find)
    for (let round = 0; round < 2; round++) {
      await killProcess(node, 'control')
      assert.deepEqual((await node.describe('told')).instances, [ended])
    }
    const events = await node.ok('events', '--task', 'told')
    assert.equal(events.match(/instanceExited/g)?.length, 1)
  })

  test('a run gives its exit status, 50 times, and vanishes each time', async () => {
    const status = async (number: number) =>
      (await node.quiver('run', 'busybox', '--', 'sh', '-c', `exit ${number}`)).status
    for (let round = 0; round < 50; round += 5) {
      const numbers = Array.from({ length: 5 }, (_, index) => round + index)
      assert.deepEqual(await Promise.all(numbers.map(status)), numbers)
    }
    await node.until('the end of the runs', async () =>
      (await node.ps()).every(({ name }) => !name.startsWith('busybox')) ? true : undefined,
    )
  })

  test('a command in an instance ends with its output and status', async () => {
    await node.deployFiles({ 'quiver.toml': manifest('inside'), 'server.mjs': SERVER })
    for (let round = 0; round < 10; round++) {
      const script = 'echo out; echo err >&2; exit 4'
      const result = await node.quiver('exec', 'inside', '--', 'sh', '-c', script)
      assert.deepEqual(result, { status: 4, stdout: 'out\n', stderr: 'err\n' })
    }
  })

  test('a run that ends while control is away vanishes, too', async () => {
    const run = node.quiver('run', 'busybox', '--', 'sh', '-c', 'echo up; sleep 1000')
    const task = await node.until('the run', async () => {
      const found = (await node.ps()).find(({ name }) => name.startsWith('busybox'))
      return found?.state === 'running' ? found.name : undefined
    })
    const { id } = await liveInstance(node, task)
    const { ainit } = await processesOf(node, id)
    await killProcess(node, 'control')
    process.kill(ainit, 'SIGKILL')
    // Its status is lost with the connection.
    assert.equal((await run).status, 69)
    await node.until('its end', async () =>
      (await node.ps()).some(({ name }) => name === task) ? undefined : true,
    )
    await assertClean()
  })
})

/** An answer of which only the beginning comes. */
async function openHalf(node: TestNode, task: string): Promise<IncomingMessage> {
  const outgoing = request({
    host: '127.0.0.1',
    port: node.httpPort,
    path: '/half',
    agent: false,
    headers: { host: `${task}.localhost` },
  })
  const answered = once(outgoing, 'response')
  outgoing.end()
  const [answer]: IncomingMessage[] = await answered
  if (answer === undefined) throw new Error('there is no answer')
  return answer
}

function entriesOf(victims: typeof VICTIMS): readonly (readonly [Victim, string])[] {
  const names: readonly Victim[] = ['ainit', 'bwrap', 'task']
  return names.map((name) => [name, victims[name]])
}
