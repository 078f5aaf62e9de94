/** Ports, streams and relays: how the data plane reaches a task, and how the task reaches out. */

import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'

import * as fds from '../../src/fds/fds.ts'

import { Instance, isRoot, UID, Workshop } from './harness.ts'
import { readable, Streams } from './stream-client.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

const serve = (address: string, port: number) => ['/tmp/probe', 'serve', address, String(port)]

async function fetchOver(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get({ createConnection: () => socket, path: '/' }, resolve).once('error', reject)
  const response = await promise
  return text(response)
}

suite('ainit: ports and streams', () => {
  test('declared and other ports are told once each, and watching ends', async () => {
    await using instance = await Instance.start(workshop, {
      args: [
        '/bin/sh',
        '-c',
        '/tmp/probe serve 127.0.0.1 9999 & sleep 0.1; exec /tmp/probe serve 0.0.0.0 8080',
      ],
      records: [['port', '8080']],
    })
    const watch = await instance.watch()
    assert.match(await watch.event('listen'), /port=9999 declared=0$/)
    assert.match(await watch.event('listen'), /port=8080 declared=1$/)
    const late = await instance.watch()
    assert.match(await late.event('listen'), /port=9999/)
  })

  for (const address of ['127.0.0.1', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1']) {
    test(`HTTP goes over a socket that was handed over: a server on ${address}`, async () => {
      await using instance = await Instance.start(workshop, {
        args: serve(address, 80),
        records: [['port', '80']],
      })
      const watch = await instance.watch()
      await watch.event('listen')
      using streams = new Streams(instance)
      const socket = await streams.open(80)
      assert.equal(await fetchOver(socket), 'hello')
      socket.destroy()
    })
  }

  test('a port where nothing listens is refused; many requests may be under way', async () => {
    await using instance = await Instance.start(workshop, {
      args: serve('127.0.0.1', 8080),
      records: [['port', '8080']],
    })
    const watch = await instance.watch()
    await watch.event('listen')
    using streams = new Streams(instance)
    const count = 200
    for (let id = 0; id < count; id++) streams.send(id, id % 2 === 0 ? 8080 : 8081)
    const seen = new Set<number>()
    for (let index = 0; index < count; index++) {
      const answer = await streams.receive()
      assert.ok(answer !== 'end')
      seen.add(answer.id)
      assert.equal(answer.status, answer.id % 2 === 0 ? 0 : 111)
      if (answer.fd !== undefined) fds.close(answer.fd)
    }
    assert.equal(seen.size, count)
  })

  test('a client that reads no answers stops nobody else', async () => {
    await using instance = await Instance.start(workshop, {
      args: serve('127.0.0.1', 8080),
      records: [['port', '8080']],
    })
    const watch = await instance.watch()
    await watch.event('listen')
    using lazy = new Streams(instance)
    const request = Buffer.from([1, 0, 0, 0, 8081 & 255, 8081 >> 8, 0, 0])
    // Until neither side takes more: its answers are full, so its requests are left alone.
    for (let sent = 0; sent < 100_000 && fds.send(lazy.fd, request); sent++);
    using streams = new Streams(instance)
    const socket = await streams.open(8080)
    socket.destroy()
  })

  for (const [title, bytes] of [
    ['too short', Buffer.alloc(7)],
    ['too long', Buffer.alloc(9)],
    ['for port 0', Buffer.alloc(8)],
    ['with something in its reserve', Buffer.from([0, 0, 0, 0, 80, 0, 1, 0])],
  ] as const) {
    test(`a request ${title} ends that connection only`, async () => {
      await using instance = await Instance.start(workshop)
      using streams = new Streams(instance)
      fds.send(streams.fd, bytes)
      assert.equal(await streams.receive(), 'end')
      using other = new Streams(instance)
      other.send(7, 81)
      assert.deepEqual(await other.receive(), { id: 7, status: 111, fd: undefined })
    })
  }

  test('a relay hands the accepted socket to egress with token, name and port', async () => {
    const egressFolder = path.join(workshop.folder, 'e')
    const egressPath = path.join(egressFolder, 'egress.sock')
    mkdirSync(egressFolder, { mode: 0o711 })
    await using instance = await Instance.start(workshop, {
      args: ['/tmp/probe', 'connect', '127.0.0.2', '443'],
      records: [
        ['egress', egressFolder],
        ['relay', '127.0.0.2:443:api.example.com'],
        ['token', 'secret-token'],
      ],
    })
    // Bound after the start, as by a node that was killed and came back.
    const listener = fds.listenSeqpacket(egressPath, 0o600)
    chmodSync(egressPath, 0o600)
    if (isRoot) chownSync(egressPath, UID, UID)
    await readable(listener)
    const connection = fds.acceptSeqpacket(listener)
    assert.ok(connection !== undefined)
    await readable(connection)
    const message = fds.receive(connection, 512)
    assert.ok(message !== undefined && message !== 'end')
    assert.equal(message.bytes.toString(), 'secret-token api.example.com 443')
    const [fd] = message.fds
    assert.ok(fd !== undefined)
    new Socket({ fd }).end('from outside\n')
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), 'from outside\n')
    fds.close(connection)
    fds.close(listener)
  })

  test('a relay that cannot listen is an error that names it', async () => {
    await using instance = await Instance.start(workshop, {
      records: [
        ['relay', '127.0.0.2:443:api.example.com'],
        ['relay', '127.0.0.2:443:other.example.com'],
      ],
    })
    assert.equal(await instance.ended, 127)
    assert.match(String(instance.readOut('exit')), /step=relay errno=98 .*127\.0\.0\.2:443:other/)
  })
})
