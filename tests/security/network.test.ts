/** What a task can reach: itself, and what its manifest declares. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, suite, test } from 'node:test'

import { TestNode } from '../e2e/harness.ts'

import { deployAttacker, inside } from './attacker.ts'

suite('the network of a task', () => {
  const resources = new AsyncDisposableStack()
  let node: TestNode
  /** A server of the host that says where a client goes next, as a hostile one would. */
  let redirector: number
  let secret: number
  before(async () => {
    node = resources.use(await TestNode.start())
    secret = await listen(createServer((socket) => socket.end('secret of the host')))
    redirector = await listen(
      createHttpServer((request, response) => {
        response.writeHead(302, { location: `http://127.0.0.1:${secret}/` }).end(request.url)
      }),
    )
    await deployAttacker(node, 'eve')
    await deployAttacker(node, 'bob')
    await deployAttacker(node, 'carol', `allow = ["http://127.0.0.1:${redirector}"]`)
    const links = ['http://169.254.169.254', 'tcp://10.1.2.3:5432', 'tcp://10.1.2.3:5433']
    await deployAttacker(node, 'dave', `allow = ${JSON.stringify(links)}`)
    if (hasIpv6()) await deployAttacker(node, 'frank', 'allow = ["tcp://[2001:db8::5]:5432"]')
    await deployAttacker(node, 'alone', 'network = "none"')
    await node.get('bob')
  })
  after(async () => {
    await resources.disposeAsync()
  })

  async function listen(server: ReturnType<typeof createServer>): Promise<number> {
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    resources.defer(() => void server.close())
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  }

  /** How connecting to each address goes, in the task. */
  async function dial(task: string, targets: readonly (readonly [host: string, port: number])[]) {
    return await inside(
      node,
      task,
      async (wanted) => {
        const { connect } = await import('node:net')
        const { once: happens } = await import('node:events')
        const answers: string[] = []
        for (const [host, port] of wanted) {
          const socket = connect({ host, port })
          socket.setTimeout(3000, () => socket.destroy(new Error('silence')))
          answers.push(await attempt(() => happens(socket, 'connect')))
          socket.on('error', () => {}).destroy()
        }
        return answers
      },
      targets,
    )
  }

  test('has no way to the host, to its own public addresses or to private networks', async () => {
    const own = Object.values(networkInterfaces()).flatMap((found = []) =>
      found.filter(({ internal, family }) => !internal && family === 'IPv4'),
    )
    const hosts = [
      ...own.map(({ address }) => address),
      '169.254.169.254',
      '100.100.100.200',
      '10.0.0.1',
      '172.17.0.1',
      '192.168.0.1',
      '8.8.8.8',
      '224.0.0.1',
      '255.255.255.255',
      'fd00:ec2::254',
      'fe80::1',
      '2001:4860:4860::8888',
    ]
    const answers = await dial(
      'eve',
      hosts.map((host) => [host, secret] as const),
    )
    for (const [index, answer] of answers.entries()) {
      assert.match(answer, /^(ENETUNREACH|EHOSTUNREACH|EACCES|EINVAL)$/, hosts[index] ?? '')
    }
  })

  test("loopback is its own: neither the host's servers nor another task's are there", async () => {
    const targets = [
      ['127.0.0.1', secret],
      ['127.0.0.1', node.httpPort],
      ['::1', secret],
      ['0.0.0.0', secret],
      ['127.0.0.2', 80],
    ] as const
    assert.deepEqual(
      await dial('eve', targets),
      targets.map(() => 'ECONNREFUSED'),
    )
    // Both listen on the same port, each for itself.
    assert.deepEqual(await dial('eve', [['127.0.0.1', 8000]]), ['ok'])
  })

  test('names resolve to nothing that is not declared', async () => {
    const answers = await dial('eve', [
      ['bob', 80],
      ['bob.localhost.example', 80],
      ['metadata.google.internal', 80],
      ['example.com', 443],
    ])
    for (const answer of answers) assert.match(answer, /^(ENOTFOUND|EAI_AGAIN|EAI_FAIL)$/)
  })

  test('abstract sockets of the host are not its own', async () => {
    const name = `\0quiver-test-${process.pid}`
    const server = createServer().listen(name)
    await once(server, 'listening')
    const answer = await inside(
      node,
      'eve',
      async (path) => {
        const { connect } = await import('node:net')
        const { once: happens } = await import('node:events')
        return await attempt(() => happens(connect({ path }), 'connect'))
      },
      name,
    )
    server.close()
    assert.equal(answer, 'ECONNREFUSED')
  })

  test('an address that is declared is reached, and a redirect from there leads nowhere else', async () => {
    const [declared, other] = await dial('carol', [
      ['127.0.0.1', redirector],
      ['127.0.0.1', secret],
    ])
    assert.equal(declared, 'ok')
    assert.equal(other, 'ECONNREFUSED')
    const followed = await inside(
      node,
      'carol',
      async (url) => {
        const first = await fetch(url, { redirect: 'manual' })
        const location = first.headers.get('location') ?? ''
        const second = await attempt(() => fetch(url))
        return { status: first.status, location, second }
      },
      `http://127.0.0.1:${redirector}/`,
    )
    assert.equal(followed.status, 302)
    assert.equal(followed.location, `http://127.0.0.1:${secret}/`)
    assert.match(followed.second, /fetch failed/)
  })

  test('addresses that are declared are its own way out, each with its ports and no other', async () => {
    const answers = await dial('dave', [
      ['169.254.169.254', 80],
      ['10.1.2.3', 5432],
      ['10.1.2.3', 5433],
      ['10.1.2.3', 5434],
      ['10.1.2.4', 5432],
    ])
    assert.deepEqual(answers, ['ok', 'ok', 'ok', 'ECONNREFUSED', 'ENETUNREACH'])
  })

  test('so are IPv6 addresses', async (t) => {
    if (!hasIpv6()) {
      t.skip('this machine has no IPv6')
      return
    }
    const answers = await dial('frank', [
      ['2001:db8::5', 5432],
      ['2001:db8::5', 5433],
      ['2001:db8::6', 5432],
      ['::1', 5432],
    ])
    assert.deepEqual(answers, ['ok', 'ECONNREFUSED', 'ENETUNREACH', 'ECONNREFUSED'])
  })

  test('a task without a network has loopback and nothing else', async () => {
    assert.deepEqual(
      await dial('alone', [
        ['127.0.0.1', 8000],
        ['127.0.0.1', secret],
      ]),
      ['ok', 'ECONNREFUSED'],
    )
  })
})

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((found) =>
    found?.some(({ family }) => family === 'IPv6'),
  )
}
