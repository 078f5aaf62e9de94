import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'

import type { GrantTarget } from '../../src/core/link.ts'

import { endOf, grantTo, ipv6Missing, listenTcp, localHost, openFixture, relay } from './fixture.ts'

const publicHost = (name: string, port: number): GrantTarget => ({
  kind: 'host',
  name,
  port,
  isPrivateAllowed: false,
})

/** One server on loopback that must never be reached, whatever the target is called. */
interface Case {
  readonly what: string
  readonly name: string
  readonly declared: string
  readonly addresses: readonly string[]
  readonly isPrivateAllowed: boolean
  readonly reason: string
}

const refused = (name: string, addresses: readonly string[], isPrivateAllowed = false): Case => ({
  what: `${name} at ${addresses.join(' and ')}${isPrivateAllowed ? ', local ones allowed' : ''}`,
  name,
  declared: name,
  addresses,
  isPrivateAllowed,
  reason: 'ADDRESS_REFUSED',
})

const CASES: readonly Case[] = [
  refused('api.example.com', ['127.0.0.1']),
  refused('api.example.com', ['::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1']),
  refused('api.example.com', ['10.0.0.1', '192.168.1.1', '172.16.0.1', '100.64.0.1', 'fd00::1']),
  refused('api.example.com', ['0.0.0.0', '::', '224.0.0.1', '255.255.255.255', 'ff02::1']),
  refused('api.example.com', ['fe80::1', 'fec0::1', 'fd12:3456::1', '2001:db8::1', '3fff::1']),
  refused('api.example.com', ['::127.0.0.1', '2002:7f00:1::', '2002:a00:1::1', '64:ff9b:1::1']),
  refused('api.example.com', ['::ffff:10.0.0.1', '64:ff9b::a9fe:a9fe', '2001:0:4136:e378::']),
  refused('127.0.0.1', []),
  refused('::1', []),
  refused('fd00::1', []),
  refused('::ffff:127.0.0.1', []),
  refused('ff02::1', [], true),
  refused('169.254.169.254', []),
  refused('api.example.com', ['169.254.169.254', 'fd00:ec2::254', '169.254.1.1', 'fe80::1'], true),
  refused('0.0.0.0', [], true),
  {
    ...refused('api.example.com', []),
    what: 'a name without an address',
    reason: 'NAME_UNKNOWN',
  },
  {
    ...refused('a.example.com', ['127.0.0.1', 'fd00::1']),
    what: 'a name below a wildcard that leads to this machine',
    declared: '*.example.com',
  },
  {
    ...refused('127.0.0.1', [], true),
    what: 'an address, by a wildcard',
    declared: '*.0.0.1',
    reason: 'TARGET_UNDECLARED',
  },
  {
    ...refused('www.example.com', ['127.0.0.1'], true),
    what: 'a name that is not declared',
    declared: 'api.example.com',
    reason: 'TARGET_UNDECLARED',
  },
  {
    ...refused('example.com', ['127.0.0.1'], true),
    what: 'the domain of a wildcard itself',
    declared: '*.example.com',
    reason: 'TARGET_UNDECLARED',
  },
  {
    ...refused('evilexample.com', ['127.0.0.1'], true),
    what: 'a name that only ends like a wildcard',
    declared: '*.example.com',
    reason: 'TARGET_UNDECLARED',
  },
]

suite('a connection is reset and reported:', () => {
  for (const { what, name, declared, addresses, isPrivateAllowed, reason } of CASES) {
    test(what, async (t) => {
      const port = await listenTcp(t, () => assert.fail('the host was reached'))
      const { egress, path, reports } = await openFixture(t, { resolver: async () => addresses })
      const target = { ...publicHost(declared, port), isPrivateAllowed }
      egress.apply({ type: 'policy', grants: [grantTo(target)] })
      assert.equal(await endOf(await relay(t, path, `t1 ${name} ${port}`)), 'ECONNRESET')
      assert.deepEqual(reports, [
        { type: 'denied', instance: 'i1', target: `${name}:${port}`, reason },
      ])
    })
  }

  test('a declared host on another port', async (t) => {
    const port = await listenTcp(t, () => assert.fail('the host was reached'))
    const { egress, path, reports } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', 443))] })
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    assert.equal(await endOf(client), 'ECONNRESET')
    assert.equal(reports.length, 1)
  })

  test('a host that nothing listens on, as unreachable', async (t) => {
    const { egress, path, reports } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', 1))] })
    assert.equal(await endOf(await relay(t, path, 't1 api.example.com 1')), 'ECONNRESET')
    assert.deepEqual(reports, [
      { type: 'denied', instance: 'i1', target: 'api.example.com:1', reason: 'TARGET_UNREACHABLE' },
    ])
    assert.equal(egress.counters.failed, 1)
  })

  test('a name that is never resolved, at the deadline', async (t) => {
    const { egress, path, reports } = await openFixture(t, {
      resolver: () => Promise.withResolvers<readonly string[]>().promise,
      limits: { connectTimeoutMs: 20 },
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', 443))] })
    assert.equal(await endOf(await relay(t, path, 't1 api.example.com 443')), 'ECONNRESET')
    assert.deepEqual(reports, [
      { type: 'denied', instance: 'i1', target: 'api.example.com:443', reason: 'TARGET_TIMEOUT' },
    ])
  })

  test('a name that the resolver cannot resolve', async (t) => {
    const { egress, path, reports } = await openFixture(t, {
      resolver: () => Promise.reject(new Error('getaddrinfo ENOTFOUND api.example.com')),
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', 443))] })
    assert.equal(await endOf(await relay(t, path, 't1 api.example.com 443')), 'ECONNRESET')
    assert.equal(reports[0]?.type === 'denied' && reports[0].reason, 'NAME_UNKNOWN')
  })
})

suite('an address is checked', () => {
  test('for each connection: a name that changes its meaning is refused from then on', async (t) => {
    let isRebound = false
    const asked: string[] = []
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t, {
      resolver: async (name) => {
        asked.push(name)
        const address = isRebound ? '169.254.169.254' : '127.0.0.1'
        isRebound = !isRebound
        return [address]
      },
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('evil.example.com', port))] })
    const attempt = async () => await endOf(await relay(t, path, `t1 evil.example.com ${port}`))
    assert.equal(await attempt(), 'end')
    assert.equal(await attempt(), 'ECONNRESET')
    assert.equal(await attempt(), 'end')
    // One look-up for a connection: what was checked is what was connected to.
    assert.equal(asked.length, 3)
  })

  test('one by one: only the allowed ones of a name are tried', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t, {
      resolver: async () => ['169.254.169.254', 'fe80::1', '127.0.0.1'],
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'end')
  })

  test('and a local one is reached by who wrote it into the manifest', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t, {
      resolver: () => assert.fail('an address is not looked up'),
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('127.0.0.1', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 127.0.0.1 ${port}`)), 'end')
  })

  test('for names that a wildcard covers, too', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const asked: string[] = []
    const { egress, path } = await openFixture(t, {
      resolver: async (name) => {
        asked.push(name)
        return ['127.0.0.1']
      },
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('*.example.com', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 a.b.example.com ${port}`)), 'end')
    assert.deepEqual(asked, ['a.b.example.com'])
  })
})

suite('a name leads to an address that is not public', () => {
  const hosts = ['api.example.com', '*.wild.example.com']

  /** Whether a name with these addresses is reached, where an address is declared beside it. */
  async function attempt(
    t: TestContext,
    name: string,
    addresses: readonly string[],
    named: GrantTarget,
    port: number,
  ): Promise<string> {
    const { egress, path } = await openFixture(t, { resolver: async () => addresses })
    const targets = [...hosts.map((host) => publicHost(host, port)), named]
    egress.apply({ type: 'policy', grants: [grantTo(...targets)] })
    return await endOf(await relay(t, path, `t1 ${name} ${port}`))
  }

  test('that is declared too, with the same port', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const address = localHost('127.0.0.1', port)
    for (const name of ['api.example.com', 'a.wild.example.com']) {
      assert.equal(await attempt(t, name, ['127.0.0.1'], address, port), 'end', name)
      assert.equal(await attempt(t, name, ['::ffff:7f00:1'], address, port), 'end', name)
    }
  })

  test('and never to its neighbour, or to another port of it', async (t) => {
    const port = await listenTcp(t, () => assert.fail('the host was reached'))
    const refuse = async (addresses: readonly string[], named: GrantTarget) =>
      assert.equal(await attempt(t, 'api.example.com', addresses, named, port), 'ECONNRESET')
    await refuse(['127.0.0.1'], localHost('127.0.0.2', port))
    await refuse(['127.0.0.1'], localHost('127.0.0.1', 1))
    await refuse(['127.0.0.1'], localHost('::1', port))
    // What a name is allowed to lead to says nothing of other names.
    await refuse(['127.0.0.1'], localHost('local.example.com', port))
  })
})

suite('over IPv6', async () => {
  const skip = await ipv6Missing()

  test('a host that has no other address is reached', { skip }, async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'), '::1')
    const { egress, path } = await openFixture(t, { resolver: async () => ['::1'] })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'end')
  })

  test(
    'an address that is declared is reached, and its name where it has one',
    { skip },
    async (t) => {
      const port = await listenTcp(t, (socket) => socket.end('hi'), '::1')
      const { egress, path } = await openFixture(t, { resolver: async () => ['0:0:0:0:0:0:0:1'] })
      const targets = [localHost('::1', port), publicHost('api.example.com', port)]
      egress.apply({ type: 'policy', grants: [grantTo(...targets)] })
      assert.equal(await endOf(await relay(t, path, `t1 ::1 ${port}`)), 'end')
      assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'end')
    },
  )

  test('a host of both families is reached by the one that answers', { skip }, async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'), '::1')
    const { egress, path } = await openFixture(t, { resolver: async () => ['127.0.0.1', '::1'] })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'end')
  })
})

test('a token that nobody was given opens nothing and names nobody', async (t) => {
  const port = await listenTcp(t, () => assert.fail('the host was reached'))
  const { egress, path, reports, lines } = await openFixture(t)
  egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
  const client = await relay(t, path, `t9 api.example.com ${port}`)
  assert.equal(await endOf(client), 'ECONNRESET')
  assert.deepEqual(reports, [])
  assert.deepEqual(lines, ['a token that nobody was given was refused'])
})

test('an instance that tries again and again is reported once', async (t) => {
  const { egress, path, reports, lines } = await openFixture(t)
  egress.apply({ type: 'policy', grants: [grantTo()] })
  const attempts = Array.from({ length: 50 }, async () =>
    endOf(await relay(t, path, 't1 api.example.com 443')),
  )
  assert.deepEqual(new Set(await Promise.all(attempts)), new Set(['ECONNRESET']))
  assert.equal(reports.length, 1)
  assert.equal(lines.length, 1)
  assert.equal(egress.counters.denied, 50)
})
