/** Every folder of `examples/`, deployed on a real node and used as its README says. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { ChatGuest } from './chat-guest.ts'
import { ROOT, TestNode } from './harness.ts'
import { WASM_EXAMPLES } from './wasm-examples.ts'

/** Examples whose program comes from a Debian package: what tells that it is there. */
const NEEDS: Readonly<Record<string, string>> = {
  'nginx-site': '/usr/sbin/nginx',
  redis: '/usr/bin/redis-server',
  'node-redis': '/usr/bin/redis-server',
  'python-web': '/usr/bin/python3',
  'python-packages': '/usr/lib/python3/dist-packages/itsdangerous',
  'static-c': '/usr/bin/cc',
  'wasm-uppercase': '/usr/include/wasm32-wasi/stdio.h',
  cowsay: '/usr/include/wasm32-wasi/stdio.h',
  'http-request': '/usr/include/wasm32-wasi/stdio.h',
  'wasi-write': '/usr/bin/wat2wasm',
  interop: '/usr/lib/rustlib/wasm32-unknown-unknown',
  'image-filter': '/usr/include/wasm32-wasi/stdio.h',
  'sqlite-query': '/usr/include/wasm32-wasi/stdio.h',
}

type Example = (node: TestNode) => Promise<void>

const EXAMPLES: Readonly<Record<string, Example>> = {
  ...WASM_EXAMPLES,

  'node-hello': async (node) => {
    await node.deployExample('node-hello')
    const cold = await node.get('node-hello')
    assert.deepEqual([cold.status, cold.start], [200, 'cold'])
    assert.match(cold.body, /^hello from process \d+\n$/)
    const warm = await node.get('node-hello')
    assert.deepEqual([warm.start, warm.body], ['warm', cold.body])
  },

  'node-chat': async (node) => {
    await node.deployExample('node-chat')
    const page = await node.get('node-chat')
    assert.match(page.body, /<!doctype html>/i)

    const first = await ChatGuest.join(node.httpPort, 'node-chat.localhost')
    assert.equal(await first.hear(), 'somebody came, 1 here')
    const second = await ChatGuest.join(node.httpPort, 'node-chat.localhost')
    assert.equal(await second.hear(), 'somebody came, 2 here')
    assert.equal(await first.hear(), 'somebody came, 2 here')
    second.say('does anybody hear me? ✓')
    assert.equal(await first.hear(), 'does anybody hear me? ✓')
    second.leave()
    assert.equal(await second.hear(), 'does anybody hear me? ✓')
    assert.equal(await first.hear(), 'somebody left, 1 here')
    first.leave()
  },

  'python-web': async (node) => {
    await node.deployExample('python-web')
    const { status, body } = await node.get('python-web')
    assert.equal(status, 200)
    assert.match(body, /^hello from Python 3\.\d+\.\d+\n$/)
  },

  'python-packages': async (node) => {
    await node.deployExample('python-packages')
    const { body: token } = await node.get('python-packages', '/sign?text=hello')
    const opened = await node.get('python-packages', `/open?token=${token.trim()}`)
    assert.deepEqual([opened.status, opened.body], [200, 'hello\n'])
    const forged = await node.get('python-packages', '/open?token=hello.forged')
    assert.equal(forged.status, 400)
  },

  'nginx-site': async (node) => {
    await node.deployExample('nginx-site')
    const page = await node.get('nginx-site')
    assert.equal(page.status, 200)
    assert.match(String(page.headers['content-type']), /^text\/html/)
    assert.match(String(page.headers['server']), /^nginx/)
    const cached = await node.get('nginx-site', '/', {
      headers: { 'if-none-match': page.headers.etag },
    })
    assert.equal(cached.status, 304)
    assert.equal((await node.get('nginx-site', '/nothing')).status, 404)
    assert.match(await node.ok('logs', 'nginx-site'), /"GET \/nothing HTTP\/1\.1" 404/)
  },

  redis: async (node) => {
    await node.deployExample('redis')
    // exec asks for an instance that runs: nothing but a connection or `start` wakes this one.
    await node.ok('start', 'redis')
    assert.equal(await node.ok('exec', 'redis', '--', 'redis-cli', 'ping'), 'PONG\n')
  },

  'node-redis': async (node) => {
    await node.deployExample('redis')
    await node.deployExample('node-redis')
    await node.ok('stop', 'redis')
    const refused = await node.get('node-redis')
    assert.equal(refused.status, 502)
    assert.match(refused.body, /^redis: /)

    await node.ok('start', 'redis')
    assert.equal((await node.get('node-redis')).body, 'visit number 1\n')
    assert.equal((await node.get('node-redis')).body, 'visit number 2\n')

    // Without an instance, the next connection starts one, with data of its own.
    await node.ok('stop', 'redis')
    await node.ok('rm', 'redis')
    await node.deployExample('redis')
    assert.equal((await node.describe('redis')).instancesLive, 0)
    assert.equal((await node.get('node-redis')).body, 'visit number 1\n')
    assert.equal((await node.describe('redis')).instances[0]?.startKind, 'cold')
  },

  busybox: async (node) => {
    await node.deployExample('busybox')
    const page = await node.get('busybox')
    assert.match(page.body, /<h1>hello from busybox<\/h1>/)
    assert.equal((await node.get('busybox', '/cgi-bin/whoami')).status, 200)

    const folder = path.join(ROOT, 'examples/busybox')
    const date = await node.ok('run', '--config', 'date', folder)
    assert.match(date, /UTC \d{4}\n$/)
    const input = 'echo "I am $0"; ls /app/www\n'
    const shell = await node.quiverWith({ input }, 'run', '--config', 'shell', folder)
    assert.deepEqual([shell.status, shell.stdout], [0, 'I am sh\ncgi-bin\nindex.html\n'])
  },

  'static-c': async (node) => {
    await node.deployExample('static-c')
    assert.equal((await node.get('static-c')).status, 200)
    await node.until('pausing', async () =>
      (await node.describe('static-c')).state === 'paused' ? true : undefined,
    )
    assert.equal((await node.get('static-c')).start, 'resumed')
  },

  crashing: async (node) => {
    await node.deployExample('crashing')
    assert.equal((await node.get('crashing')).body, 'alive\n')
    const crashed = await node.get('crashing', '/crash')
    assert.equal(crashed.status, 502)
    const { reason, message } = JSON.parse(crashed.body)
    assert.equal(reason, 'INSTANCE_DIED')
    assert.match(message, /error status \(1\)$/)
    assert.deepEqual(
      [(await node.get('crashing')).status, (await node.get('crashing')).body],
      [200, 'alive\n'],
    )
    // Half of an answer cannot become another answer: it ends, and does not look complete.
    await assert.rejects(node.get('crashing', '/half'), { code: 'ECONNRESET' })
    await node.until('the node noticing', async () =>
      (await node.describe('crashing')).instancesLive === 0 ? true : undefined,
    )
    assert.equal((await node.get('crashing')).body, 'alive\n')
  },

  'crashing-at-start': async (node) => {
    await node.deployExample('crashing-at-start')
    const { status, body } = await node.get('crashing-at-start')
    assert.equal(status, 502)
    const error = JSON.parse(body)
    assert.match(error.message, /status 1/)
    assert.doesNotMatch(body, /DATABASE_URL/, 'what it wrote is for its owner')
    assert.match((await node.quiver('logs', 'crashing-at-start')).stderr, /DATABASE_URL is not set/)
    const { state, errors } = await node.describe('crashing-at-start')
    assert.equal(state, 'failing')
    assert.deepEqual(errors[0]?.logTail, ['DATABASE_URL is not set'])
    assert.equal(errors[0]?.reason, error.reason)
  },

  'never-listens': async (node) => {
    await node.deployExample('never-listens')
    const { status, body } = await node.get('never-listens')
    assert.equal(status, 504)
    assert.equal(JSON.parse(body).reason, 'START_TIMEOUT')
    assert.equal((await node.describe('never-listens')).instancesLive, 0)
  },

  'ignores-sigterm': async (node) => {
    await node.deployExample('ignores-sigterm')
    assert.equal((await node.get('ignores-sigterm')).body, 'still here\n')
    await node.ok('stop', 'ignores-sigterm')
    const { instances } = await node.describe('ignores-sigterm')
    const [{ exit } = { exit: null }] = instances
    assert.equal(exit?.signal, 9)
    assert.match((await node.quiver('logs', 'ignores-sigterm')).stderr, /^not now$/m)
  },

  'wrong-port': async (node) => {
    await node.deployExample('wrong-port')
    const { status, body } = await node.get('wrong-port')
    assert.ok(status >= 502, `status ${status}`)
    const { reason, message } = JSON.parse(body)
    assert.equal(reason, 'WRONG_PORT')
    assert.match(message, /3000/)
    assert.match(message, /8080/)
  },
}

suite('examples', { concurrency: false }, () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  test('each has a test', () => {
    const folders = readdirSync(path.join(ROOT, 'examples')).toSorted()
    assert.deepEqual(Object.keys(EXAMPLES).toSorted(), folders)
  })

  for (const [name, use] of Object.entries(EXAMPLES)) {
    const needed = NEEDS[name]
    const skip =
      needed === undefined || existsSync(needed) ? false : `this machine has no ${needed}`
    test(name, { skip }, async () => {
      await use(node)
    })
  }

  test('node-hello and node-chat run the same bytes of one binary', async () => {
    const binaries: readonly { name: string; usedBy: readonly string[] }[] = JSON.parse(
      await node.ok('binary', 'ls', '--json'),
    )
    const found = binaries.filter(({ name }) => name === 'node')
    assert.equal(found.length, 1)
    const users = found[0]?.usedBy ?? []
    assert.ok(users.includes('node-hello') && users.includes('node-chat'), users.join())

    const programs = await Promise.all(
      ['node-hello', 'node-chat'].map(async (task) => {
        await node.get(task)
        const look = ['stat', '-L', '-c', '%d:%i %h', '/proc/2/exe']
        return await node.ok('exec', task, '--', ...look)
      }),
    )
    assert.equal(programs[0], programs[1])
    const links = Number(programs[0]?.split(' ')[1])
    assert.ok(links >= 2, 'the tree is made of links to the file in the store')
  })
})
