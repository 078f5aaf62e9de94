import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'

import {
  grantTo,
  listenTcp,
  localHost,
  endOf,
  openFixture,
  readAll,
  relay,
  relayUnix,
  until,
} from './fixture.ts'

suite('an allowed connection', () => {
  test('carries bytes both ways, and each way ends by itself', async (t) => {
    const port = await listenTcp(t, (socket) => {
      // Answers only after the question has ended, as a half-open peer may.
      void readAll(socket).then((question) => socket.end(`you said ${question}`))
    })
    const { egress, path, reports } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })

    const client = await relay(t, path, `t1 api.example.com ${port}`)
    client.end('hello')
    assert.equal(await readAll(client), 'you said hello')
    await egress.drain(t.signal)
    assert.deepEqual(egress.counters, { opened: 1, denied: 0, failed: 0, bytesOut: 5, bytesIn: 14 })
    assert.deepEqual(reports, [])
  })

  test('of a machine comes over a unix socket, and is as any other', async (t) => {
    const port = await listenTcp(t, (socket) => {
      void readAll(socket).then((question) => socket.end(`you said ${question}`))
    })
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const client = await relayUnix(t, path, `t1 api.example.com ${port}`)
    client.end('hello')
    assert.equal(await readAll(client), 'you said hello')
    await egress.drain(t.signal)
    assert.deepEqual(egress.counters, { opened: 1, denied: 0, failed: 0, bytesOut: 5, bytesIn: 14 })
  })

  test('of a machine that the host resets is cut for the task', async (t) => {
    const port = await listenTcp(t, (socket) => socket.resetAndDestroy())
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const client = await relayUnix(t, path, `t1 api.example.com ${port}`)
    assert.match(await endOf(client), /^(?:end|ECONNRESET)$/)
  })

  test('carries 32 MiB in each direction at once, unharmed', async (t) => {
    const sent = randomBytes(32 * 1024 ** 2)
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    client.end(sent)
    assert.equal(sha256(await readAll(client)), sha256(sent.toString('latin1')))
  })

  test('is as slow as its reader', async (t) => {
    const stalled = Promise.withResolvers<Socket>()
    const port = await listenTcp(t, (socket) => stalled.resolve(socket.pause()))
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    const flood = Buffer.alloc(64 * 1024 ** 2, 'x')
    client.end(flood)

    const server = await stalled.promise
    await once(server, 'readable')
    // Kernel buffers and one chunk of the relay: far from all of it.
    assert.ok(egress.counters.bytesOut < flood.length / 2, `${egress.counters.bytesOut} bytes`)
    assert.equal((await readAll(server)).length, flood.length)
  })

  test('is found whatever the case of the name, with a final dot too', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await readAll(await relay(t, path, `t1 API.Example.com. ${port}`)), 'hi')
  })

  test('tries the next address when one does not answer', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t, {
      resolver: async () => ['127.0.0.99', '::1', '127.0.0.1'],
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await readAll(await relay(t, path, `t1 api.example.com ${port}`)), 'hi')
  })

  test('that the host resets is reset for the task', async (t) => {
    const port = await listenTcp(t, (socket) => socket.resetAndDestroy())
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'ECONNRESET')
  })

  test('that the task resets is reset for the host', async (t) => {
    const ended = Promise.withResolvers<string>()
    const opened = Promise.withResolvers<void>()
    const port = await listenTcp(t, (socket) => {
      ended.resolve(endOf(socket))
      opened.resolve()
    })
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    await opened.promise
    client.resetAndDestroy()
    assert.equal(await ended.promise, 'ECONNRESET')
  })

  test('waits, when it comes before the first policy', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t)
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    egress.apply({ type: 'policy', grants: [] })
    egress.apply({ type: 'grant', grant: grantTo(localHost('api.example.com', port)) })
    assert.equal(await readAll(client), 'hi')
  })
})

suite('a connection to another task', () => {
  const cases = [
    { protocol: 'http', port: 80, preamble: 'http photo-db shop\n' },
    { protocol: 'tcp', port: 6379, preamble: 'tcp photo-db 6379\n' },
  ] as const
  for (const { protocol, port, preamble } of cases) {
    test(`goes through the proxy's tunnel (${protocol})`, async (t) => {
      const { egress, path, tunnel } = await openFixture(t)
      tunnel.once('connection', (socket: Socket) => {
        void readAll(socket).then((bytes) => socket.end(`got ${bytes}`))
      })
      const target = { kind: 'task', name: 'db', port, task: 'photo-db', protocol } as const
      egress.apply({ type: 'policy', grants: [grantTo(target)] })
      const client = await relay(t, path, `t1 db ${port}`)
      client.end('ping')
      assert.equal(await readAll(client), `got ${preamble}ping`)
    })
  }

  test('is reported when there is no proxy', async (t) => {
    const { egress, path, tunnel, reports } = await openFixture(t)
    tunnel.close()
    await once(tunnel, 'close')
    const target = { kind: 'task', name: 'db', port: 80, task: 'db', protocol: 'http' } as const
    egress.apply({ type: 'policy', grants: [grantTo(target)] })
    assert.equal(await endOf(await relay(t, path, 't1 db 80')), 'ECONNRESET')
    assert.deepEqual(reports, [
      { type: 'denied', instance: 'i1', target: 'db:80', reason: 'TARGET_UNREACHABLE' },
    ])
  })
})

suite('open connections', () => {
  test('of a revoked instance are cut, and of no other', async (t) => {
    const port = await listenTcp(t, (socket) => socket.write('hi'))
    const { egress, path } = await openFixture(t)
    const target = localHost('api.example.com', port)
    const other = { ...grantTo(target), instance: 'i2', token: 't2' }
    egress.apply({ type: 'policy', grants: [grantTo(target), other] })
    const revoked = await relay(t, path, `t1 api.example.com ${port}`)
    const kept = await relay(t, path, `t2 api.example.com ${port}`)
    await Promise.all([once(revoked, 'readable'), once(kept, 'readable')])

    const end = endOf(revoked)
    egress.apply({ type: 'revoke', instance: 'i1' })
    assert.equal(await end, 'ECONNRESET')
    assert.equal(egress.connectionCount, 1)
    assert.equal(await endOf(await relay(t, path, `t1 api.example.com ${port}`)), 'ECONNRESET')
  })

  test('survive a policy that still has their instance, and are cut by one that has not', async (t) => {
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { egress, path } = await openFixture(t)
    const grants = [grantTo(localHost('api.example.com', port))]
    egress.apply({ type: 'policy', grants })
    const client = await relay(t, path, `t1 api.example.com ${port}`)
    client.write('a')
    await once(client, 'readable')
    egress.apply({ type: 'policy', grants })
    client.read()
    client.write('b')
    await once(client, 'readable')
    assert.equal(String(client.read()), 'b')
    const end = endOf(client)
    egress.apply({ type: 'policy', grants: [] })
    assert.equal(await end, 'ECONNRESET')
  })

  test('are at most so many per instance', async (t) => {
    const port = await listenTcp(t, (socket) => {
      socket.on('end', () => socket.end())
      socket.resume().write('hi')
    })
    const { egress, path, reports } = await openFixture(t, { limits: { connectionsMax: 2 } })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const message = `t1 api.example.com ${port}`
    const first = await relay(t, path, message)
    const second = await relay(t, path, message)
    await Promise.all([once(first, 'readable'), once(second, 'readable')])
    assert.equal(await endOf(await relay(t, path, message)), 'ECONNRESET')
    assert.deepEqual(
      reports.map((report) => report.type === 'denied' && report.reason),
      ['CONNECTIONS_MAX'],
    )
    first.destroy()
    await until(() => egress.connectionCount === 1)
    await once(await relay(t, path, message), 'readable')
  })
})

function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}
