/** What changes while requests come in: revisions, shares of the traffic, numbers of instances. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { TestNode } from './harness.ts'
import { underLoad } from './load.ts'

/** Says its version and process; `/held` answers when `/go` is asked for; `/slow` takes a while. */
const SERVER = `
import { createServer } from 'node:http'
const held = new Set()
const server = createServer((request, response) => {
  const answer = () => response.end(process.env.VERSION + ' ' + process.env.QUIVER_INSTANCE)
  if (request.url === '/held') return held.add(answer)
  if (request.url === '/go') for (const one of held) one()
  if (request.url === '/slow') return setTimeout(answer, 200)
  answer()
})
server.listen(process.env.PORT)
process.once('SIGTERM', () => server.close())
`

const manifest = (name: string, scale = '', http = ''): string => `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
${http}
[env]
VERSION = "1"
[scale]
${scale}
`

const routes = (host: string): string => `routes = ["${host}.localhost"]`
const version = (body: string): string => body.split(' ')[0] ?? ''
const instance = (body: string): string => body.split(' ')[1] ?? ''

suite('revisions', { concurrency: false }, () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const deploy = async (name: string, scale?: string, http?: string): Promise<string> =>
    await node.deployFiles({ 'quiver.toml': manifest(name, scale, http), 'server.mjs': SERVER })

  test('a deployment under load fails no request, and the old revision drains', async () => {
    const folder = await deploy('busy')
    await node.get('busy')
    const held = node.get('busy', '/held')
    const { answers, failures } = await underLoad(node, 'busy', async () => {
      await node.ok('deploy', folder, '--env', 'VERSION=2')
      assert.equal(version((await node.get('busy')).body), '2')
    })
    assert.deepEqual(failures, [])
    const versions = answers.map(({ body }) => version(body))
    assert.equal(versions.lastIndexOf('1') < versions.length - 1, true)
    assert.ok(versions.includes('2'))

    const old = (await node.describe('busy')).instances.find(({ revision }) => revision === 1)
    assert.equal(old?.exit, null, 'it has a request in flight')
    await node.ok(
      'exec',
      old?.id ?? '',
      '--',
      'wget',
      '-qO',
      '/dev/null',
      'http://127.0.0.1:8000/go',
    )
    const answer = await held
    assert.deepEqual([answer.status, version(answer.body)], [200, '1'])
    await node.until('the end of the old instance', async () => {
      const { instances } = await node.describe('busy')
      return instances.find(({ id }) => id === old?.id)?.exit?.reason === 'REPLACED'
        ? true
        : undefined
    })
  })

  test('deploying the same again does nothing', async () => {
    const folder = await deploy('same')
    const first = await node.get('same')
    const result = JSON.parse(await node.ok('deploy', folder, '--json'))
    assert.deepEqual([result.isUnchanged, result.revision], [true, 1])
    const second = await node.get('same')
    assert.deepEqual([second.start, second.body], ['warm', first.body])
  })

  test('a deployment that does not start leaves the old revision serving', async () => {
    const folder = await deploy('safe')
    await node.get('safe')
    await writeFile(
      path.join(folder, 'server.mjs'),
      'console.error("no such thing"); process.exit(3)',
    )
    const { failures } = await underLoad(node, 'safe', async () => {
      const { status, stderr } = await node.quiver('deploy', folder)
      assert.notEqual(status, 0)
      assert.match(stderr, /status 3/)
      assert.match(stderr, /^hint: /m)
    })
    assert.deepEqual(failures, [])
    const { traffic, state } = await node.describe('safe')
    assert.deepEqual([traffic, state], [[{ revision: 1, percent: 100 }], 'running'])
  })

  test('traffic is split as asked, then promoted, then rolled back at once', async () => {
    const folder = await deploy('shared', 'concurrency = 100')
    await node.get('shared')
    await node.ok('deploy', folder, '--env', 'VERSION=2', '--traffic', '10%')
    assert.deepEqual((await node.describe('shared')).traffic, [
      { revision: 1, percent: 90 },
      { revision: 2, percent: 10 },
    ])
    const count = 1500
    let second = 0
    for (let done = 0; done < count; done += 50) {
      const bodies = await Promise.all(Array.from({ length: 50 }, () => node.get('shared')))
      second += bodies.filter(({ body }) => version(body) === '2').length
    }
    // Ten standard deviations of a binomial distribution either side.
    const deviation = Math.sqrt(count * 0.1 * 0.9)
    assert.ok(Math.abs(second - count * 0.1) < 10 * deviation, `${second} of ${count}`)

    await node.ok('promote', 'shared')
    assert.equal(version((await node.get('shared')).body), '2')
    await node.ok('deploy', folder, '--env', 'VERSION=3')
    assert.equal(version((await node.get('shared')).body), '3')
    const { failures } = await underLoad(node, 'shared', async () => {
      await node.ok('rollback', 'shared')
      assert.equal(version((await node.get('shared')).body), '2')
      await node.ok('rollback', 'shared', '1')
      assert.equal(version((await node.get('shared')).body), '1')
    })
    assert.deepEqual(failures, [])
    const missing = await node.quiver('rollback', 'shared', '9')
    assert.equal(missing.status, 66)
    assert.match(missing.stderr, /no revision 9[^]*Kept are: 1, 2, 3/)
  })

  test('scaling up and down under load loses no request', async () => {
    await deploy('elastic', 'max = 5')
    const { failures } = await underLoad(node, 'elastic', async () => {
      await node.ok('scale', 'elastic', '3')
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => node.get('elastic', '/slow')),
      )
      assert.equal(new Set(answers.map(({ body }) => instance(body))).size, 3)
      await node.ok('scale', 'elastic', '1')
    })
    assert.deepEqual(failures, [])
    await node.until('one instance', async () =>
      (await node.describe('elastic')).instancesLive === 1 ? true : undefined,
    )
  })

  test('scaled to zero it refuses and says how to go on', async () => {
    await deploy('none')
    await node.get('none')
    await node.ok('scale', 'none', '0')
    const refused = await node.get('none')
    assert.equal(refused.status, 503)
    assert.match(JSON.parse(refused.body).hint, /quiver scale none 1/)
    await node.ok('scale', 'none', 'auto')
    assert.equal((await node.get('none')).status, 200)
  })

  test('a minimum is kept running, and is there without a request', async () => {
    await deploy('ready', 'min = 2\npause_after = "50ms"\nstop_after = "100ms"')
    await node.until('two instances', async () =>
      (await node.describe('ready')).instancesReady === 2 ? true : undefined,
    )
    assert.equal((await node.get('ready')).start, 'warm')
  })

  test('more requests than an instance takes start more, up to the maximum; the rest waits', async () => {
    await deploy('narrow', 'concurrency = 1\nmax = 3')
    const answers = await Promise.all(Array.from({ length: 12 }, () => node.get('narrow', '/slow')))
    assert.ok(answers.every(({ status }) => status === 200))
    const instances = new Set(answers.map(({ body }) => instance(body)))
    assert.ok(instances.size > 1 && instances.size <= 3, `${instances.size} instances`)
    assert.ok((await node.describe('narrow')).instances.length <= 3)
  })

  test('a restart replaces the instances, and fails no request', async () => {
    await deploy('renewed')
    const first = await node.get('renewed')
    const { failures } = await underLoad(node, 'renewed', async () => {
      await node.ok('restart', 'renewed')
    })
    assert.deepEqual(failures, [])
    const second = await node.get('renewed')
    assert.notEqual(instance(second.body), instance(first.body))
  })

  test('a route has one owner: two tasks cannot take or swap theirs, a task may keep its own', async () => {
    const left = await deploy('left', '', routes('one'))
    await deploy('right', '', routes('two'))
    await writeFile(path.join(left, 'quiver.toml'), manifest('left', '', routes('two')))
    const { status, stderr } = await node.quiver('deploy', left)
    assert.equal(status, 73)
    assert.match(stderr, /two\.localhost[^]*right/)
    assert.equal(version((await node.request('one.localhost', '/')).body), '1')
    await writeFile(path.join(left, 'quiver.toml'), manifest('left', 'max = 2', routes('one')))
    await node.ok('deploy', left)
    assert.equal((await node.describe('left')).revision, 2)
  })

  for (const sticky of ['cookie', 'client'] as const) {
    test(`sticky = "${sticky}" keeps a client where it was first`, async () => {
      const name = `sticky-${sticky}`
      const folder = await deploy(name, 'max = 3', `sticky = "${sticky}"`)
      await node.ok('scale', name, '3')
      const first = await node.get(name)
      const [cookie = ''] = first.headers['set-cookie'] ?? []
      assert.equal(cookie !== '', sticky === 'cookie')
      const headers = cookie === '' ? {} : { cookie: cookie.split(';')[0] }
      const ask = async () => (await node.get(name, '/', { headers })).body
      const all = await Promise.all(Array.from({ length: 30 }, ask))
      assert.deepEqual([...new Set(all)], [first.body])

      // It stays with its revision, too, while that has traffic.
      await node.ok('deploy', folder, '--env', 'VERSION=2', '--traffic', '99%')
      if (sticky === 'cookie') assert.equal(version(await ask()), '1')
      await node.ok('promote', name)
      assert.equal(version(await ask()), '2')
    })
  }
})
