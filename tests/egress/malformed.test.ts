import assert from 'node:assert/strict'
import { openSync, readdirSync, closeSync } from 'node:fs'
import { suite, test } from 'node:test'

import { close, connectSeqpacket } from '../../src/fds/fds.ts'

import {
  deliver,
  endOf,
  grantTo,
  listenTcp,
  localHost,
  openFixture,
  openPair,
  readAll,
  relay,
  until,
} from './fixture.ts'

const SEED = Number(process.env['QUIVER_SEED'] ?? 20_261_120)

const MESSAGES: readonly [what: string, message: string][] = [
  ['nothing', ''],
  ['no name', 't1'],
  ['no port', 't1 api.example.com'],
  ['an empty token', ' api.example.com 443'],
  ['port 0', 't1 api.example.com 0'],
  ['a port beyond 65535', 't1 api.example.com 65536'],
  ['a port with a sign', 't1 api.example.com -443'],
  ['a port in hexadecimal', 't1 api.example.com 0x1bb'],
  ['more than three fields', 't1 api.example.com 443 443'],
  ['a final newline', 't1 api.example.com 443\n'],
  ['a line break in the name', 't1 api\nexample.com 443'],
  ['a NUL', 't1 api.example.com\u{0} 443'],
  ['a tab for a space', 't1\tapi.example.com\t443'],
  ['letters beyond ASCII', 't1 \u{e4}pi.example.com 443'],
  ['a name too long', `t1 ${'a'.repeat(255)} 443`],
  ['a message too long', `t1 api.example.com 443${' '.repeat(512)}`],
]

suite('the relay refuses', () => {
  for (const [what, message] of MESSAGES) {
    test(what, async (t) => {
      const { egress, path, reports } = await openFixture(t)
      egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', 443))] })
      const client = await relay(t, path, message)
      assert.notEqual(await endOf(client), '')
      assert.deepEqual([egress.connectionCount, reports.length], [0, 0])
    })
  }

  test('what is not a connected TCP socket, or not one descriptor, and leaks none', async (t) => {
    const port = await listenTcp(t, (socket) => socket.end('hi'))
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const message = `t1 api.example.com ${port}`
    const before = descriptorCount()

    const { client, accepted, fd } = await openPair(t)
    const file = openSync('/dev/null', 'r')
    const seqpacket = connectSeqpacket(path)
    for (const wrong of [[], [file], [seqpacket], [fd, fd], [file, fd], Array(200).fill(fd)]) {
      deliver(path, Buffer.from(message), wrong)
    }
    closeSync(file)
    close(seqpacket)
    accepted.destroy()
    client.destroy()

    // Messages are taken in order, so after this answer the ones before have been dealt with.
    const last = await relay(t, path, message)
    last.end()
    assert.equal(await readAll(last), 'hi')
    assert.deepEqual([egress.counters.opened, egress.counters.denied], [1, 2])
    await until(() => descriptorCount() <= before)
  })

  test(`random bytes (seed ${SEED}) without harm to others or a descriptor lost`, async (t) => {
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { egress, path } = await openFixture(t)
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const message = `t1 api.example.com ${port}`
    const bystander = await relay(t, path, message)
    const before = descriptorCount()
    const random = createRandom(SEED)

    const messages = Array.from({ length: 100 }, () => mutate(Buffer.from(message), random))
    await Promise.all(
      messages.map(async (bytes, index) => {
        const { client, accepted, fd } = await openPair(t)
        deliver(path, bytes, index % 5 === 0 ? [] : [fd])
        accepted.destroy()
        client.destroy()
      }),
    )
    bystander.end('still here')
    assert.equal(await readAll(bystander), 'still here')
    await egress.drain(t.signal)
    await until(() => descriptorCount() <= before)
  })
})

test('a peer that connects and says nothing does not keep others from being served', async (t) => {
  const port = await listenTcp(t, (socket) => socket.end('hi'))
  const { egress, path } = await openFixture(t)
  egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
  const silent = Array.from({ length: 300 }, () => connectSeqpacket(path))
  t.after(() => silent.forEach(close))
  assert.equal(await readAll(await relay(t, path, `t1 api.example.com ${port}`)), 'hi')
})

/** Some bytes changed, or the tail cut off, or anything at all. */
function mutate(message: Buffer, random: () => number): Buffer {
  const kind = random()
  if (kind < 0.2) return message.subarray(0, Math.floor(random() * message.length))
  if (kind < 0.4) return Buffer.from(Array.from({ length: 600 * random() }, () => random() * 256))
  for (let changes = Math.floor(random() * 4); changes >= 0; changes--) {
    message[Math.floor(random() * message.length)] = random() * 256
  }
  return message
}

/** Mulberry32: small, and the same on every machine. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length
}
