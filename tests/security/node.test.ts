/** What the node gives away and whom it obeys: secrets, headers, the API. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { TestNode } from '../e2e/harness.ts'

import { deployAttacker, inside } from './attacker.ts'

const isRoot = process.getuid?.() === 0
/** The first uid after those that nodes give to tasks: nobody's. */
const STRANGER = 65_533

/** Answers with the headers that reached it. */
const ECHO = `
import { createServer } from 'node:http'
createServer((request, response) => {
  response.setHeader('x-request-id', 'forged-by-the-task')
  response.setHeader('x-quiver-instance', 'forged-by-the-task')
  response.setHeader('server-timing', 'quiver;desc=forged')
  response.end(JSON.stringify(request.headers))
}).listen(process.env.PORT)
`

suite('the node', () => {
  let node: TestNode
  const secret = `secret-of-${process.pid}-${Date.now()}`
  let apiPort = 0
  before(async () => {
    node = await TestNode.start('--listen-api', '127.0.0.1:0')
    const listen = readFileSync(path.join(node.run, 'listen'), 'utf8')
    apiPort = Number(/^api-tcp 127\.0\.0\.1:(\d+)$/m.exec(listen)?.[1])
    await deployAttacker(node, 'keeper')
    const folder = await node.writeFiles({
      'quiver.toml':
        'name = "echo"\nruntime = "node@26"\ncommand = ["a.mjs"]\n[http]\nport = 8000\n',
      'a.mjs': ECHO,
    })
    await node.ok('deploy', folder, '--env', `KEY=${secret}`)
    await node.get('echo')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  test('a secret is in no command line and no environment of another process', async () => {
    const { instances } = await node.describe('echo')
    const own = `QUIVER_INSTANCE=${instances[0]?.id}`
    const leaks = readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return []
      const environment = read(`/proc/${pid}/environ`)
      const isTask = environment.split('\0').includes(own)
      const isLeak = !isTask && environment.includes(secret)
      return isLeak || read(`/proc/${pid}/cmdline`).includes(secret) ? [pid] : []
    })
    assert.deepEqual(leaks, [])
  })

  test('a secret is in no file of an instance', async () => {
    const { instances } = await node.describe('echo')
    const [id = ''] = instances.map((instance) => instance.id)
    const folder = path.join(node.data, 'instances', id)
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      assert.ok(!read(path.join(folder, name)).includes(secret), name)
  })

  test('files of the data folder are not for tasks', { skip: !isRoot }, () => {
    const closed = ['state', 'instances', 'events.log', 'files', 'configs', 'tls', 'token']
    for (const name of closed) {
      const found = statSync(path.join(node.data, name), { throwIfNoEntry: false })
      if (found === undefined) continue
      const others = found.mode & 0o007
      // Passing through is needed, looking around is not.
      assert.ok(others === 0 || (found.isDirectory() && others === 0o001), `${name} ${others}`)
    }
    const state = path.join(node.data, 'state')
    const files = readdirSync(state).map((name) => path.join(state, name))
    for (const file of [...files, path.join(node.data, 'lock')]) {
      assert.ok(!canRead(file), file)
    }
    const plans = readdirSync(path.join(node.data, 'instances')).map((id) =>
      path.join(node.data, 'instances', id, 'plan.json'),
    )
    for (const plan of plans) assert.ok(!canRead(plan), plan)
  })

  test('the API socket answers to its owner alone', { skip: !isRoot }, () => {
    for (const name of ['api', 'link', 'tunnel']) {
      // Not our own Node.js, which may be below a folder that strangers cannot enter.
      const script = `import socket\ntry: socket.socket(socket.AF_UNIX).connect('${node.run}/${name}.sock')\nexcept PermissionError: print('EACCES'); exit(1)`
      const { status, stdout } = asStranger('/usr/bin/python3', ['-c', script])
      assert.equal(status, 1, name)
      assert.equal(stdout.trim(), 'EACCES', name)
    }
  })

  test('the sockets of an instance are not for strangers', { skip: !isRoot }, () => {
    const folder = path.join(node.run, 'i')
    const sockets = readdirSync(folder)
    assert.ok(sockets.length > 0)
    for (const name of sockets) assert.equal(statSync(path.join(folder, name)).mode & 0o007, 0)
  })

  test('the API on TCP wants a token, and one of its own names', async () => {
    const token = read(path.join(node.data, 'token')).trim()
    const own = { authorization: `Bearer ${token}` }
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{}, 401],
      [{ authorization: 'Bearer wrong' }, 401],
      [{ authorization: `Bearer ${token}x` }, 401],
      [{ ...own, host: 'evil.example.com' }, 403],
      [{ ...own, host: `evil.example.com:${apiPort}` }, 403],
    ]
    for (const [headers, status] of cases) {
      const answer = await callApi(headers)
      assert.equal(answer.status, status, `${JSON.stringify(Object.keys(headers))} ${answer.body}`)
      assert.ok(JSON.parse(answer.body).hint, answer.body)
    }
    assert.equal((await callApi(own)).status, 200)
  })

  test('a client forges no header of the platform, and a task none of its answers', async () => {
    const answer = await node.get('echo', '/', {
      headers: {
        'x-quiver-instance': 'forged',
        'X-Quiver-Task': 'forged',
        'x-request-id': 'bad id with spaces',
        'x-forwarded-for': '6.6.6.6',
      },
    })
    const seen = JSON.parse(answer.body)
    assert.deepEqual(
      Object.keys(seen).filter((name) => name.startsWith('x-quiver')),
      [],
    )
    assert.match(seen['x-request-id'], /^[A-Za-z0-9._-]{1,64}$/)
    assert.equal(answer.headers['x-request-id'], seen['x-request-id'])
    assert.equal(answer.headers['x-quiver-instance'], undefined)
    assert.doesNotMatch(String(answer.headers['server-timing']), /forged/)
    const kept = await node.get('echo', '/', { headers: { 'x-request-id': 'good-id.1' } })
    assert.equal(JSON.parse(kept.body)['x-request-id'], 'good-id.1')
  })

  test('a task cannot speak for another on the way out', async () => {
    // The egress socket is PID 1's: nothing of it is in the task.
    const descriptors = await inside(
      node,
      'keeper',
      async () => {
        const fs = await import('node:fs')
        return fs
          .readdirSync('/proc/self/fd')
          .map((fd) => fs.readlinkSync(`/proc/self/fd/${fd}`, 'utf8'))
      },
      null,
    ).catch((error: unknown) => [String(error)])
    const foreign = descriptors.filter((target) => target.includes('quiver'))
    assert.deepEqual(foreign, [])
  })

  async function callApi(headers: Record<string, string>) {
    const outgoing = request({ host: '127.0.0.1', port: apiPort, path: '/v1/tasks', headers })
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
    outgoing.on('response', (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject)
    })
    outgoing.on('error', reject).end()
    return await promise
  }
})

function asStranger(program: string, args: readonly string[]) {
  return spawnSync(program, args, { uid: STRANGER, gid: STRANGER, encoding: 'utf8' })
}

function canRead(file: string): boolean {
  return asStranger('/bin/cat', [file]).status === 0
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
