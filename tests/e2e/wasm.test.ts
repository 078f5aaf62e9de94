/** WebAssembly on a whole node, from the command line to an answered request: what a sandboxed task can, a module can. */

import assert from 'node:assert/strict'
import { copyFile, mkdtemp, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { compileCommand, compileFunction } from '../fixtures/compile.ts'

import { ROOT, TestNode } from './harness.ts'

const GUESTS = path.join(import.meta.dirname, 'guests')
const UPPERCASE = path.join(ROOT, 'tests/integration/guests/uppercase.c')
const MIB = 1024 * 1024

suite('WebAssembly on a node', () => {
  let node: TestNode
  let web: string
  let capitals: string
  let uppercase: string
  before(async () => {
    node = await TestNode.start()
    web = await compileCommand(path.join(GUESTS, 'web.c'), node.folder)
    capitals = await compileCommand(path.join(GUESTS, 'capitals.c'), node.folder)
    uppercase = await compileFunction(UPPERCASE, node.folder)
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** @returns the folder that was deployed */
  async function deploy(module: string, name: string, more = ''): Promise<string> {
    const folder = await mkdtemp(path.join(node.folder, 'app-'))
    await copyFile(module, path.join(folder, 'app.wasm'))
    await writeFile(
      path.join(folder, 'quiver.toml'),
      `name = "${name}"\nfile = "app.wasm"\n[http]\n${more}`,
    )
    await node.ok('deploy', folder)
    return folder
  }

  async function post(task: string, target: string, body: string) {
    return await node.request(`${task}.localhost`, target, { method: 'POST' }, body)
  }

  async function untilState(task: string, state: string): Promise<void> {
    await node.until(`${task} to be ${state}`, async () =>
      (await node.describe(task)).state === state ? true : undefined,
    )
  }

  test('the first request starts it, the second finds it running, and idle it is gone', async () => {
    await deploy(web, 'first', '[scale]\nstop_after = "300ms"\n[env]\nGREETING = "you"\n')
    assert.equal((await node.describe('first')).state, 'idle')
    const cold = await node.get('first')
    assert.deepEqual([cold.status, cold.start, cold.body], [200, 'cold', 'hello you 1\n'])
    const warm = await node.get('first')
    assert.deepEqual([warm.status, warm.start, warm.body], [200, 'warm', 'hello you 1\n'])
    await untilState('first', 'idle')
    assert.equal((await node.get('first')).start, 'cold')
  })

  test('a command reads the request from its environment, and its own arguments', async () => {
    await deploy(web, 'cgi', '[env]\nGREETING = "you"\n')
    const host = `cgi.localhost:${node.httpPort}`
    const headers = { 'x-some-header': 'value' }
    const answer = await node.request(host, '/env?a=b%20c', { headers })
    assert.equal(answer.headers['x-made-by'], 'web.c')
    const lines = answer.body.split('\n')
    const expected = [
      'arg cgi',
      'GREETING=you',
      'REQUEST_METHOD=GET',
      'PATH_INFO=/env',
      'QUERY_STRING=a=b%20c',
      'SERVER_NAME=cgi.localhost',
      `SERVER_PORT=${node.httpPort}`,
      'HTTP_X_SOME_HEADER=value',
      'REMOTE_ADDR=127.0.0.1',
      'GATEWAY_INTERFACE=CGI/1.1',
    ]
    for (const line of expected) assert.ok(lines.includes(line), `${line} is not in ${answer.body}`)
  })

  test('its headers become those of the answer', async () => {
    await deploy(web, 'headers')
    const teapot = await node.get('headers', '/status?418')
    assert.deepEqual([teapot.status, teapot.body], [418, 'as asked\n'])
    assert.equal(teapot.headers['content-type'], 'text/plain')
    const redirect = await node.get('headers', '/redirect')
    assert.deepEqual([redirect.status, redirect.headers['location']], [302, '/elsewhere'])
    const head = await node.get('headers', '/', { method: 'HEAD' })
    assert.deepEqual([head.status, head.body], [200, ''])
    assert.ok(Number(head.headers['content-length']) > 0)
  })

  test('bodies stream through it, in both ways and of any length', async () => {
    await deploy(web, 'echo')
    const small = await post('echo', '/echo', 'grüße')
    assert.equal(small.body, 'grüße')
    const sent = Buffer.alloc(24 * MIB, 'abcdefghijklmnopqrstuvwxyz0123456789')
    for (const headers of [{ 'content-length': sent.length }, {}]) {
      const received = await exchange('echo', headers, sent)
      assert.ok(received.equals(sent), 'other bytes came back')
    }
  })

  async function exchange(task: string, headers: object, body: Buffer): Promise<Buffer> {
    const outgoing = request({
      host: '127.0.0.1',
      port: node.httpPort,
      path: '/echo',
      method: 'POST',
      agent: false,
      headers: { host: `${task}.localhost`, ...headers },
    })
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    outgoing.on('error', reject)
    outgoing.on('response', (answer) => void buffer(answer).then(resolve, reject))
    outgoing.end(body)
    return await promise
  }

  test('a program that knows nothing of the web is a filter', async () => {
    await deploy(capitals, 'filter', '[wasm]\nstdout = "body"\n')
    const answer = await post('filter', '/', 'straight through')
    assert.deepEqual([answer.status, answer.body], [200, 'STRAIGHT THROUGH'])
    assert.match(answer.headers['content-type'] ?? '', /^text\/plain/)
    assert.equal((await post('filter', '/', '')).body, '')
  })

  test('a function answers through its buffers', async () => {
    await deploy(uppercase, 'function')
    const answer = await post('function', '/', 'abc'.repeat(10_000))
    assert.equal(answer.body, 'ABC'.repeat(10_000))
    assert.equal(answer.headers['content-type'], 'text/plain')
    assert.equal((await post('function', '/', 'once more')).body, 'ONCE MORE')
  })

  test('what goes wrong in it is told with its reason, and the next request works', async () => {
    await deploy(web, 'fails')
    const outcomes = [
      ['/exit?7', 'EXITED'],
      ['/exit?256', 'EXITED'],
      ['/abort', 'TRAPPED'],
      ['/status?999', 'RESPONSE_INVALID'],
    ]
    for (const [target, reason] of outcomes) {
      const answer = await node.get('fails', target)
      assert.equal(answer.status, 502, `${target}: ${answer.body}`)
      const body = JSON.parse(answer.body)
      assert.equal(body.reason, reason)
      assert.ok(body.requestId)
    }
    await assert.rejects(node.get('fails', '/half'), /aborted|ECONNRESET|socket hang up/)
    assert.equal((await node.get('fails')).status, 200)
  })

  test('logs have what it wrote to stderr, and what it did wrong', async () => {
    await deploy(web, 'talks')
    await node.get('talks', '/some/path')
    await node.get('talks', '/abort')
    const written = await node.until('the log', async () => {
      const lines = await node.ok('logs', 'talks', '--json')
      return lines.includes('TRAPPED') ? lines.trim().split('\n') : undefined
    })
    const records = written.map((line) => JSON.parse(line))
    assert.deepEqual(records.map(({ stream, text }) => `${stream}: ${text}`).slice(0, 2), [
      'stderr: GET /some/path',
      'stderr: GET /abort',
    ])
    assert.match(records.at(-1).text, /TRAPPED/)
    await node.ok('stop', 'talks')
    assert.match(await node.ok('logs', 'talks', '--json'), /some\/path/)
  })

  test('people stop, start, scale, roll back and remove it', async () => {
    const folder = await deploy(web, 'managed', '[env]\nGREETING = "one"\n')
    assert.equal((await node.get('managed')).body, 'hello one 1\n')
    await node.ok('stop', 'managed')
    assert.equal(JSON.parse((await node.get('managed')).body).reason, 'TASK_STOPPED')
    await node.ok('start', 'managed')
    assert.equal((await node.get('managed')).status, 200)
    await node.ok('scale', 'managed', '3')
    assert.equal((await node.describe('managed')).instancesReady, 3)
    await node.ok('deploy', folder, '--env', 'GREETING=two')
    assert.equal((await node.get('managed')).body, 'hello two 1\n')
    await node.ok('rollback', 'managed')
    assert.equal((await node.get('managed')).body, 'hello one 1\n')
    await node.ok('rm', 'managed')
    assert.equal((await node.get('managed')).status, 404)
  })

  test('two revisions share the traffic', async () => {
    const folder = await deploy(web, 'split', '[env]\nGREETING = "one"\n')
    await node.ok('deploy', folder, '--env', 'GREETING=two', '--traffic', '50%')
    const agent = new Agent({ keepAlive: true, maxSockets: 4 })
    const bodies = await Promise.all(
      Array.from({ length: 60 }, async () => (await node.get('split', '/', { agent })).body),
    )
    agent.destroy()
    assert.deepEqual(new Set(bodies), new Set(['hello one 1\n', 'hello two 1\n']))
  })

  test('a request that waits is alone in waiting', async () => {
    await deploy(web, 'waits')
    const slow = node.get('waits', '/wait?1500')
    const quick = await Promise.all(Array.from({ length: 20 }, () => node.get('waits')))
    assert.ok(quick.every(({ status }) => status === 200))
    assert.equal((await slow).body, 'waited\n')
  })

  test('ps and describe show it like any task', async () => {
    await deploy(web, 'shown')
    await node.get('shown')
    const tasks = await node.ps()
    const shown = tasks.find(({ name }) => name === 'shown')
    assert.deepEqual([shown?.state, shown?.isolation], ['running', 'wasm'])
    const { instances } = await node.describe('shown')
    assert.equal(instances.length, 1)
  })
})
