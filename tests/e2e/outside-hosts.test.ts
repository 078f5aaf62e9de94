/** Outside hosts of a whole node: names below a wildcard, and IPv6, from the program to a server and back. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { after, before, suite, test } from 'node:test'

import { deployAttacker, inside } from '../security/attacker.ts'

import { TestNode } from './harness.ts'

const HOSTS = `127.0.0.1 localhost
127.0.0.1 a.wild.example b.deep.wild.example wild.example
::1 six.wild.example
10.9.9.9 private.wild.example
`
const skip = process.getuid?.() === 0 ? false : 'names of its own for a node need root'

suite('a task with a wildcard', { skip }, () => {
  const resources = new AsyncDisposableStack()
  let node: TestNode
  let port: number
  /** Where a server listens on \`::1\`; undefined on a machine without IPv6. */
  let port6: number | undefined
  before(async () => {
    port = await listen('127.0.0.1')
    port6 = await listen('::1').catch(() => undefined)
    node = resources.use(await TestNode.startWithHosts(HOSTS))
    // The test's servers are on loopback, which a wildcard alone never leads to.
    const four = [`http://*.wild.example:${port}`, `http://127.0.0.1:${port}`]
    const six =
      port6 === undefined ? [] : [`http://*.wild.example:${port6}`, `http://[::1]:${port6}`]
    await deployAttacker(node, 'walker', `allow = ${JSON.stringify([...four, ...six])}`)
    await deployAttacker(node, 'stranger', `allow = ["http://*.wild.example:${port}"]`)
  })
  after(async () => {
    await resources.disposeAsync()
  })

  async function listen(host: string): Promise<number> {
    const server: Server = createServer((request, response) => {
      response.end(`hello ${request.headers.host}`)
    })
    server.listen(0, host)
    await once(server, 'listening')
    resources.defer(() => void server.close())
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  }

  /** The body of each answer, or the code of what went wrong. */
  async function fetchAll(task: string, urls: readonly string[]): Promise<readonly string[]> {
    return await inside(
      node,
      task,
      async (wanted) => {
        const answers: string[] = []
        for (const url of wanted) {
          const answer = await fetch(url).then(
            (response) => response.text(),
            (error: Error & { readonly cause?: { readonly code?: string } }) =>
              error.cause?.code ?? error.message,
          )
          answers.push(answer)
        }
        return answers
      },
      urls,
    )
  }

  test('reaches the names below it, however deep, and no others', async () => {
    assert.deepEqual(
      await fetchAll('walker', [
        `http://a.wild.example:${port}/`,
        `http://b.deep.wild.example:${port}/`,
        `http://wild.example:${port}/`,
        `http://a.tame.example:${port}/`,
        `http://a.wild.example:1024/`,
      ]),
      [
        `hello a.wild.example:${port}`,
        `hello b.deep.wild.example:${port}`,
        'ENOTFOUND',
        'ENOTFOUND',
        'ECONNREFUSED',
      ],
    )
  })

  test('finds them by its C library, by a resolver of its own and by busybox', async () => {
    const found = await inside(
      node,
      'walker',
      async (name) => {
        const { lookup, resolve4, resolve6 } = await import('node:dns/promises')
        const { address } = await lookup(name)
        return {
          isSame: (await resolve4(name)).join() === address,
          address,
          six: await attempt(() => resolve6(name)),
          unknown: await attempt(() => resolve4('a.tame.example')),
          own: await resolve4('localhost'),
        }
      },
      'a.wild.example',
    )
    assert.match(found.address, /^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./)
    assert.deepEqual(found, {
      isSame: true,
      address: found.address,
      six: 'ENODATA',
      unknown: 'ENOTFOUND',
      own: ['127.0.0.1'],
    })
    const url = `http://a.wild.example:${port}/`
    assert.equal(
      await node.ok('exec', 'walker', '--', 'wget', '-q', '-O-', url),
      `hello ${url.slice(7, -1)}`,
    )
  })

  test('is not led to local addresses that it did not name, and that is told', async () => {
    assert.deepEqual(await fetchAll('stranger', [`http://a.wild.example:${port}/`]), ['ECONNRESET'])
    assert.deepEqual(await fetchAll('walker', [`http://private.wild.example:${port}/`]), [
      'ECONNRESET',
    ])
    const events = await node.ok('events')
    assert.match(events, /egressDenied.*stranger.*a\.wild\.example.*ADDRESS_REFUSED/)
    assert.match(events, /egressDenied.*walker.*private\.wild\.example.*ADDRESS_REFUSED/)
  })

  test('reaches what has IPv6 alone, by its name and by its address', async (t) => {
    if (port6 === undefined) {
      t.skip('this machine has no IPv6')
      return
    }
    assert.deepEqual(
      await fetchAll('walker', [`http://six.wild.example:${port6}/`, `http://[::1]:${port6}/`]),
      [`hello six.wild.example:${port6}`, `hello [::1]:${port6}`],
    )
  })
})
