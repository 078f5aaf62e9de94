import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import type { Grant, ToEgress } from '../../src/core/link.ts'
import { close, listenSeqpacket } from '../../src/fds/fds.ts'
import type { RawMessage } from '../../src/link/connection.ts'
import { LinkRole, openLinkServer } from '../../src/link/server.ts'

import { endOf, grantTo, listenTcp, localHost, readAll, relay } from './fixture.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

interface Relay {
  readonly child: ChildProcess
  readonly run: string
  readonly socketPath: string
}

/** Starts the process as the supervisor does. */
async function startRelay(t: TestContext, config: object = {}): Promise<Relay> {
  const run = await mkdtemp(path.join(tmpdir(), 'quiver-run-'))
  await chmod(run, 0o711)
  const socketPath = path.join(run, 'egress.sock')
  const listener = listenSeqpacket(socketPath, 0o600)
  const script = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=egress exec "$0" "$@"'
  const program = path.join(ROOT, 'src/daemon/egress.ts')
  const argv = ['-c', script, process.execPath, program, JSON.stringify({ run, ...config })]
  const child = spawn('sh', argv, { stdio: ['ignore', 'ignore', 'inherit', listener] })
  t.after(async () => {
    child.kill('SIGKILL')
    close(listener)
    await rm(run, { recursive: true })
  })
  return { child, run, socketPath }
}

/** Control's end of the link; `hello` and `denied` come as events. */
async function openControl(run: string, grants: readonly Grant[]) {
  const events = new EventEmitter()
  const role = new LinkRole<RawMessage, ToEgress>({
    name: 'egress',
    parse: (raw) => raw,
    onHello: (peer) => {
      peer.send({ type: 'policy', grants })
      events.emit('hello', peer.pid)
    },
    onMessage: (_peer, message) => events.emit('denied', message),
  })
  const file = path.join(run, 'link.sock')
  const server = await openLinkServer({ listen: { path: file }, roles: [role] })
  await chmod(file, 0o666)
  return { events, server }
}

suite('the egress process', () => {
  test('has no privileges left when it says hello', { skip: !isRoot }, async (t) => {
    const { child, run } = await startRelay(t, { uid: NOBODY, gid: NOBODY })
    const { events, server } = await openControl(run, [])
    t.after(() => server[Symbol.asyncDispose]())
    assert.deepEqual(await once(events, 'hello'), [child.pid])
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
    const ids = `${NOBODY}\t${NOBODY}\t${NOBODY}\t${NOBODY}`
    assert.match(status, new RegExp(`^Uid:\t${ids}$`, 'm'))
    assert.match(status, new RegExp(`^Gid:\t${ids}$`, 'm'))
    assert.match(status, /^Groups:\s*$/m)
    assert.match(status, /^CapEff:\t0+$/m)
  })

  test('goes on with what it knows while control is away, and hears the truth afterwards', async (t) => {
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { run, socketPath } = await startRelay(t)
    const first = await openControl(run, [grantTo(localHost('127.0.0.1', port))])
    await once(first.events, 'hello')
    const open = await relay(t, socketPath, `t1 127.0.0.1 ${port}`)
    open.write('a')
    await once(open, 'readable')

    await first.server[Symbol.asyncDispose]()
    const meanwhile = await relay(t, socketPath, `t1 127.0.0.1 ${port}`)
    meanwhile.end('b')
    assert.equal(await readAll(meanwhile), 'b')

    const end = endOf(open)
    const second = await openControl(run, [])
    t.after(() => second.server[Symbol.asyncDispose]())
    assert.equal(await end, 'ECONNRESET')
  })

  test('tells control what it denied', async (t) => {
    const { run, socketPath } = await startRelay(t)
    const { events, server } = await openControl(run, [grantTo()])
    t.after(() => server[Symbol.asyncDispose]())
    await once(events, 'hello')
    const denied = once(events, 'denied')
    await relay(t, socketPath, 't1 api.example.com 443')
    assert.deepEqual(await denied, [
      {
        type: 'denied',
        instance: 'i1',
        target: 'api.example.com:443',
        reason: 'TARGET_UNDECLARED',
      },
    ])
  })

  test('lets open connections end on SIGTERM', async (t) => {
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { child, run, socketPath } = await startRelay(t)
    const { events, server } = await openControl(run, [grantTo(localHost('127.0.0.1', port))])
    t.after(() => server[Symbol.asyncDispose]())
    await once(events, 'hello')
    const client = await relay(t, socketPath, `t1 127.0.0.1 ${port}`)
    client.write('before ')
    await once(client, 'readable')
    child.kill('SIGTERM')
    client.end('after')
    assert.equal(await readAll(client), 'before after')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })

  test('cuts what has not ended by the deadline', async (t) => {
    const port = await listenTcp(t, (socket) => socket.pipe(socket))
    const { child, run, socketPath } = await startRelay(t, { drainMs: 50 })
    const { events, server } = await openControl(run, [grantTo(localHost('127.0.0.1', port))])
    t.after(() => server[Symbol.asyncDispose]())
    await once(events, 'hello')
    const client = await relay(t, socketPath, `t1 127.0.0.1 ${port}`)
    client.write('x')
    await once(client, 'readable')
    const end = endOf(client)
    child.kill('SIGTERM')
    assert.equal(await end, 'ECONNRESET')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
})
