/** The main job, from the command line to an answered request: deploy, cold, warm, paused, stopped. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, suite, test } from 'node:test'

import { TestNode } from './harness.ts'

const SERVER = `
import { createServer } from 'node:http'
createServer((request, response) => response.end('hello ' + process.env.GREETING)).listen(process.env.PORT)
`

const manifest = (name: string, scale = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
[env]
GREETING = "a = 'b' c"
[scale]
${scale}
`

suite('one application', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  test('the first request starts it, the second finds it running', async () => {
    await node.deployFiles({ 'quiver.toml': manifest('first'), 'server.mjs': SERVER })
    const tasks = await node.ps()
    assert.equal(tasks.find(({ name }) => name === 'first')?.state, 'idle')
    const cold = await node.get('first')
    assert.deepEqual([cold.status, cold.start, cold.body], [200, 'cold', "hello a = 'b' c"])
    const warm = await node.get('first')
    assert.deepEqual([warm.status, warm.start], [200, 'warm'])
  })

  test('500 concurrent first requests start one instance', async () => {
    await node.deployFiles({
      'quiver.toml': manifest('herd', 'concurrency = 1000'),
      'server.mjs': SERVER,
    })
    const answers = await Promise.all(Array.from({ length: 500 }, () => node.get('herd')))
    assert.ok(answers.every(({ status }) => status === 200))
    const { instances } = await node.describe('herd')
    assert.equal(instances.length, 1)
  })

  test('idle, it is paused, then stopped, and the next request brings it back each time', async () => {
    const scale = 'pause_after = "100ms"\nstop_after = "1s"'
    await node.deployFiles({ 'quiver.toml': manifest('idle', scale), 'server.mjs': SERVER })
    assert.equal((await node.get('idle')).start, 'cold')
    const stateIs = (state: string) => async () =>
      (await node.describe('idle')).state === state ? true : undefined
    await node.until('pausing', stateIs('paused'))
    assert.equal((await node.get('idle')).start, 'resumed')
    await node.until('stopping', stateIs('idle'))
    assert.equal((await node.get('idle')).start, 'cold')
  })

  test('a stopped task answers 503 and says so, until it is started', async () => {
    await node.deployFiles({ 'quiver.toml': manifest('halted'), 'server.mjs': SERVER })
    await node.ok('stop', 'halted')
    const refused = await node.get('halted')
    assert.equal(refused.status, 503)
    assert.equal(JSON.parse(refused.body).reason, 'TASK_STOPPED')
    assert.ok(refused.headers['retry-after'])
    await node.ok('start', 'halted')
    assert.equal((await node.get('halted')).status, 200)
  })

  test('a request that finds the only instance full is answered by a second one', async () => {
    // A request that sends a body is in flight until the body ends.
    const server = `
import { createServer } from 'node:http'
createServer((request, response) => {
  response.write(process.env.QUIVER_INSTANCE)
  request.resume().on('end', () => response.end())
}).listen(process.env.PORT)`
    await node.deployFiles({
      'quiver.toml': manifest('full', 'concurrency = 1\nmax = 2'),
      'server.mjs': server,
    })
    const open = request({
      host: '127.0.0.1',
      port: node.httpPort,
      method: 'POST',
      headers: { host: 'full.localhost' },
    })
    open.write('held')
    const [response] = await once(open, 'response')
    const [first] = await once(response, 'data')
    const second = await node.get('full')
    assert.equal(second.status, 200)
    assert.notEqual(second.body, String(first))
    open.end()
    await once(response, 'end')
    assert.equal((await node.describe('full')).instancesLive, 2)
  })

  test('scale runs as many as asked, and lets them go again', async () => {
    await node.deployFiles({ 'quiver.toml': manifest('many'), 'server.mjs': SERVER })
    await node.ok('scale', 'many', '3')
    assert.equal((await node.describe('many')).instancesReady, 3)
    await node.ok('scale', 'many', '1')
    const live = await node.until('scaling down', async () => {
      const { instancesLive } = await node.describe('many')
      return instancesLive === 1 ? instancesLive : undefined
    })
    assert.equal(live, 1)
  })

  test('rm removes the task and its route', async () => {
    await node.deployFiles({ 'quiver.toml': manifest('gone'), 'server.mjs': SERVER })
    assert.equal((await node.get('gone')).status, 200)
    await node.ok('rm', 'gone')
    const answer = await node.get('gone')
    assert.equal(answer.status, 404)
    assert.equal(JSON.parse(answer.body).reason, 'NO_ROUTE')
    const { status, stderr } = await node.quiver('describe', 'gone')
    assert.equal(status, 66)
    assert.match(stderr, /TASK_NOT_FOUND/)
  })

  test('logs keep what it wrote, after it ended too', async () => {
    await node.deployFiles({
      'quiver.toml': manifest('talks'),
      'server.mjs': `console.log('to stdout'); console.error('to stderr')${SERVER}`,
    })
    await node.get('talks')
    await node.ok('stop', 'talks')
    const lines = (await node.ok('logs', 'talks', '--json')).trim().split('\n')
    const records = lines.map((line) => JSON.parse(line))
    const texts = records.map(({ stream, text }) => `${stream}: ${text}`)
    assert.deepEqual(texts.toSorted(), ['stderr: to stderr', 'stdout: to stdout'])
  })
})
