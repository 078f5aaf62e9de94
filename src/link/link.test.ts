import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { suite, test, type TestContext } from 'node:test'

import { QuiverError } from '../core/error.ts'

import { openLinkClient } from './client.ts'
import type { RawMessage } from './connection.ts'
import { LinkRole, openLinkServer } from './server.ts'

const HELLO = { type: 'hello', role: 'proxy', pid: 7 }

async function socketPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-link-'))
  t.after(() => rm(folder, { recursive: true }))
  return path.join(folder, 's')
}

/** A server whose doings come as events: `hello`, `message`, `gone`, `problem`. */
async function listen(file: string, truth: object = { type: 'table' }) {
  const events = new EventEmitter()
  const role = new LinkRole<RawMessage, object>({
    name: 'proxy',
    parse: parseKnown,
    onHello: (peer) => {
      peer.send(truth)
      events.emit('hello', peer.pid)
    },
    onMessage: (_peer, message) => events.emit('message', message),
    onGone: () => events.emit('gone'),
  })
  const server = await openLinkServer({
    listen: { path: file },
    roles: [role],
    onProblem: (problem) => events.emit('problem', problem),
  })
  return { events, role, server }
}

/** A client whose doings come as events: `message`, `up`, `down`, `problem`. */
function dial(t: TestContext, file: string) {
  const events = new EventEmitter()
  const client = openLinkClient<RawMessage, object>({
    path: file,
    hello: HELLO,
    parse: parseKnown,
    onMessage: (message) => events.emit('message', message),
    onUp: () => events.emit('up'),
    onDown: () => events.emit('down'),
    onProblem: (problem) => events.emit('problem', problem),
  })
  t.after(() => client[Symbol.asyncDispose]())
  return { events, client }
}

function parseKnown(raw: RawMessage): RawMessage | undefined {
  if (raw.type === 'broken') throw new QuiverError('invalid_argument', 'LINK_MALFORMED', 'broken')
  return raw.type === 'unknown' ? undefined : raw
}

suite('the link', () => {
  test('begins with a hello, then the whole truth, then changes both ways', async (t) => {
    const file = await socketPath(t)
    const { events, role, server } = await listen(file, { type: 'table', tasks: ['é'] })
    t.after(() => server[Symbol.asyncDispose]())
    const { events: heard, client } = dial(t, file)

    const [table] = await once(heard, 'message')
    assert.deepEqual(table, { type: 'table', tasks: ['é'] })
    role.send({ type: 'gone', task: 'a' })
    assert.deepEqual(await once(heard, 'message'), [{ type: 'gone', task: 'a' }])
    assert.equal(client.send({ type: 'wake', task: 'a' }), true)
    assert.deepEqual(await once(events, 'message'), [{ type: 'wake', task: 'a' }])
  })

  test('is made again when control comes back, and sends nothing meanwhile', async (t) => {
    const file = await socketPath(t)
    const { events: heard, client } = dial(t, file)
    await once(heard, 'problem')
    assert.equal(client.send({ type: 'wake' }), false)

    const first = await listen(file)
    await once(heard, 'up')
    const down = once(heard, 'down')
    await first.server[Symbol.asyncDispose]()
    await down
    assert.equal(client.isUp, false)

    const second = await listen(file)
    t.after(() => second.server[Symbol.asyncDispose]())
    await once(heard, 'up')
    assert.equal(client.isUp, true)
  })

  test('carries a table of several megabytes in one line', async (t) => {
    const file = await socketPath(t)
    const tasks = Array.from({ length: 10_000 }, (_, index) => `${index}`.padEnd(500, 'x'))
    const { server } = await listen(file, { type: 'table', tasks })
    t.after(() => server[Symbol.asyncDispose]())
    const [table] = await once(dial(t, file).events, 'message')
    assert.deepEqual(table, { type: 'table', tasks })
  })

  test('ignores a message of a type it does not know', async (t) => {
    const file = await socketPath(t)
    const { events, server } = await listen(file)
    t.after(() => server[Symbol.asyncDispose]())
    const { events: heard, client } = dial(t, file)
    await once(heard, 'up')
    client.send({ type: 'unknown' })
    client.send({ type: 'known' })
    assert.deepEqual(await once(events, 'message'), [{ type: 'known' }])
  })

  const malformed: readonly [what: string, bytes: string][] = [
    ['not JSON', 'hello\n'],
    ['an array', '[]\n'],
    ['null', 'null\n'],
    ['no type', '{"role":"proxy"}\n'],
    ['no hello', '{"type":"wake"}\n'],
    ['a role nobody serves', '{"type":"hello","role":"admin","pid":1}\n'],
    ['no pid', '{"type":"hello","role":"proxy"}\n'],
    ['a refused message', `${JSON.stringify(HELLO)}\n{"type":"broken"}\n`],
    ['a line without end', 'x'.repeat(1024 ** 2 + 1)],
    ['bytes that are not text', '\u{0}\u{ff}\n'],
  ]
  for (const [what, bytes] of malformed) {
    test(`is broken off by ${what}, and only that connection`, async (t) => {
      const file = await socketPath(t)
      const { events, server } = await listen(file)
      t.after(() => server[Symbol.asyncDispose]())
      const { events: heard, client } = dial(t, file)
      await once(heard, 'up')

      const problem = once(events, 'problem')
      const socket = connect(file)
      socket.on('error', () => {})
      socket.resume().end(bytes)
      assert.equal((await problem)[0].reason, 'LINK_MALFORMED')
      client.send({ type: 'still' })
      assert.deepEqual(await once(events, 'message'), [{ type: 'still' }])
    })
  }

  test('tells control when a peer is gone', async (t) => {
    const file = await socketPath(t)
    const { events, role, server } = await listen(file)
    t.after(() => server[Symbol.asyncDispose]())
    const { events: heard, client } = dial(t, file)
    await once(heard, 'up')
    assert.equal(role.isPresent, true)
    const gone = once(events, 'gone')
    await client[Symbol.asyncDispose]()
    await gone
    assert.equal(role.isPresent, false)
  })

  test('delivers a message that arrives byte by byte', async (t) => {
    const file = await socketPath(t)
    const { events, server } = await listen(file)
    t.after(() => server[Symbol.asyncDispose]())
    const socket = connect(file)
    t.after(() => socket.destroy())
    const message = once(events, 'message')
    const bytes = Buffer.from(`${JSON.stringify(HELLO)}\n{"type":"ü"}\n`)
    Readable.from(Array.from(bytes, (byte) => Buffer.of(byte))).pipe(socket)
    assert.deepEqual(await message, [{ type: 'ü' }])
  })
})
