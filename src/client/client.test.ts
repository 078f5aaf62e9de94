import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { buildFakeControl, portOf } from '../../tests/fixtures/fake-control.ts'
import * as sample from '../../tests/fixtures/samples.ts'
import { openApiServer } from '../api/server.ts'
import type { ControlService } from '../api/service.ts'
import { digestOf } from '../core/digest.ts'

import { formatAddress, parseAddress } from './address.ts'
import { openClient } from './client.ts'
import type { SessionRequest } from './client.ts'

const TOKEN = 'secret-secret-secret-secret-secret'

async function open(t: TestContext, overrides: Partial<ControlService> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-client-'))
  t.after(() => rm(folder, { recursive: true }))
  const control = buildFakeControl(overrides)
  const socketPath = path.join(folder, 'api.sock')
  const server = await openApiServer({
    service: control,
    onFailure: () => {},
    listeners: [
      { listen: { path: socketPath }, access: { kind: 'unix' } },
      { listen: { port: 0, host: '127.0.0.1' }, access: { kind: 'tcp', token: TOKEN, hosts: [] } },
    ],
  })
  t.after(() => server[Symbol.asyncDispose]())
  const client = openClient({ address: parseAddress(socketPath), token: undefined })
  t.after(() => client[Symbol.dispose]())
  const port = portOf(server.addresses[1])
  return { client, control, port, server }
}

const exec = (...args: string[]): SessionRequest => ({
  kind: 'exec',
  args,
  env: { GREETING: 'hello' },
  terminal: null,
  isLent: false,
})

suite('parseAddress()', () => {
  const valid: readonly [text: string, formatted: string][] = [
    ['unix:/run/quiver/api.sock', 'unix:/run/quiver/api.sock'],
    ['/run/quiver/api.sock', 'unix:/run/quiver/api.sock'],
    ['http://127.0.0.1:7070', 'http://127.0.0.1:7070'],
    ['https://node.example/', 'https://node.example'],
  ]
  for (const [written, formatted] of valid) {
    test(`reads ${written}`, () => assert.equal(formatAddress(parseAddress(written)), formatted))
  }
  for (const written of ['', 'node', 'ftp://node', 'http://node/v1', 'unix:api.sock']) {
    test(`refuses ${JSON.stringify(written)}`, () => {
      assert.throws(() => parseAddress(written), { reason: 'HOST_INVALID' })
    })
  }
})

suite('calls', () => {
  test('a call sends its input and returns its output', async (t) => {
    const { client, control } = await open(t)
    const input = { params: { name: 'hello' }, body: { instances: 3 } }
    const task = await client.call('scale', input, t.signal)
    assert.equal(task.name, 'hello')
    assert.deepEqual(control.calls, [['scale', 'hello', 3]])
  })

  test('an error arrives as it was thrown', async (t) => {
    const { client } = await open(t)
    await assert.rejects(client.call('getTask', { params: { name: 'hallo' } }, t.signal), {
      name: 'QuiverError',
      code: 'not_found',
      reason: 'TASK_NOT_FOUND',
      hint: 'Did you mean "hello"?',
    })
  })

  test('the token opens TCP, and nothing else does', async (t) => {
    const { port } = await open(t)
    const address = parseAddress(`http://127.0.0.1:${port}`)
    using let_in = openClient({ address, token: TOKEN })
    assert.equal((await let_in.call('listTasks', {}, t.signal)).length, 1)
    using kept_out = openClient({ address, token: 'wrong' })
    await assert.rejects(kept_out.call('listTasks', {}, t.signal), { reason: 'TOKEN_REFUSED' })
  })

  test('without a node the error says how to start one', async (t) => {
    using client = openClient({ address: parseAddress('/nowhere/api.sock'), token: undefined })
    await assert.rejects(client.call('listTasks', {}, t.signal), {
      code: 'unavailable',
      reason: 'NODE_UNREACHABLE',
      message: 'no node answers at unix:/nowhere/api.sock',
      hint: 'Start one with "quiver up".',
    })
  })

  const elsewhere: readonly (readonly [address: string, reason: string, hint: RegExp])[] = [
    ['http://127.0.0.1:1', 'NODE_UNREACHABLE', /--listen-api/],
    ['http://no-such-host.invalid:9440', 'NODE_UNREACHABLE', /--listen-api/],
  ]
  for (const [host, reason, hint] of elsewhere) {
    test(`nobody at ${host}: the hint is not about this machine`, async (t) => {
      using client = openClient({ address: parseAddress(host), token: undefined })
      await assert.rejects(client.call('listTasks', {}, t.signal), { reason, hint })
    })
  }

  test('https to a node without TLS says so, and not what OpenSSL said', async (t) => {
    const { port } = await open(t)
    const address = parseAddress(`https://127.0.0.1:${port}`)
    using client = openClient({ address, token: TOKEN })
    await assert.rejects(client.call('listTasks', {}, t.signal), {
      reason: 'NODE_SPEAKS_NO_TLS',
      message: `https://127.0.0.1:${port} does not speak TLS`,
      hint: /http:\/\//,
    })
  })

  test('the proxy of a node is not taken for its API', async (t) => {
    const refusal = { code: 'not_found', reason: 'NO_ROUTE', message: 'x', component: 'proxy' }
    const server = createServer((_request, answer) => {
      answer.writeHead(404).end(JSON.stringify(refusal))
    })
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = parseAddress(`http://127.0.0.1:${portOf(server.address())}`)
    using client = openClient({ address, token: undefined })
    await assert.rejects(client.call('listTasks', {}, t.signal), {
      reason: 'NOT_A_NODE',
      hint: /--listen-api/,
    })
  })

  test('something else than a node is named as such', async (t) => {
    const server = createServer((_request, answer) => answer.writeHead(404).end('<html>'))
    t.after(() => server.close())
    const { promise, resolve } = Promise.withResolvers<void>()
    server.listen(0, '127.0.0.1', resolve)
    await promise
    const port = portOf(server.address())
    using client = openClient({
      address: parseAddress(`http://127.0.0.1:${port}`),
      token: undefined,
    })
    await assert.rejects(client.call('listTasks', {}, t.signal), { reason: 'NOT_A_NODE' })
  })

  test('an interrupted call is canceled, on both sides', async (t) => {
    const seen = Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<void>()
    const deploy: ControlService['deploy'] = async (_request, signal) => {
      signal.addEventListener('abort', () => aborted.resolve())
      seen.resolve()
      await aborted.promise
      throw signal.reason
    }
    const { client } = await open(t, { deploy })
    const controller = new AbortController()
    const call = client.call('deploy', { body: { image: digestOf('x') } }, controller.signal)
    await seen.promise
    controller.abort()
    await assert.rejects(call, { code: 'canceled', reason: 'INTERRUPTED' })
    await aborted.promise
  })

  test('an upload is stored, and a refused one is explained', async (t) => {
    const { client, control } = await open(t)
    const content = Buffer.alloc(1_000_000, 'a')
    await client.upload(digestOf(content), Readable.from([content]), t.signal)
    assert.equal(control.files.get(digestOf(content))?.length, content.length)
    const wrong = client.upload(digestOf('x'), Readable.from(['y']), t.signal)
    await assert.rejects(wrong, { reason: 'DIGEST_MISMATCH' })
  })
})

suite('lines', () => {
  test('are records, whatever characters they hold', async (t) => {
    const { client } = await open(t)
    const query = { tail: 5, grep: 'a+b' }
    const records = await Array.fromAsync(
      client.lines('logs', { params: { target: 'hello' }, query }, t.signal),
    )
    assert.deepEqual(
      records.map((record) => record.text),
      ['listening on 8003', 'a\u2028b \u001b[2J'],
    )
  })

  test('end without an error when they are aborted', async (t) => {
    const { client } = await open(t, { events: oneThenQuiet })
    const controller = new AbortController()
    for await (const event of client.lines(
      'events',
      { query: { follow: true } },
      controller.signal,
    )) {
      assert.equal(event.sequence, 7)
      controller.abort()
    }
  })

  test('that a node breaks off are an error', async (t) => {
    const { client, server } = await open(t, { events: oneThenQuiet })
    const read = async () => {
      for await (const event of client.lines('events', { query: {} }, t.signal)) {
        assert.equal(event.sequence, 7)
        await server[Symbol.asyncDispose]()
      }
    }
    await assert.rejects(read, { reason: 'CONNECTION_LOST' })
  })
})

suite('sessions', () => {
  test('carry arguments, environment, both outputs and the status', async (t) => {
    const { client } = await open(t)
    const script = 'echo $GREETING; echo oops >&2; exit 7'
    using session = await client.openSession('hello', exec('sh', '-c', script), t.signal)
    const [stdout, stderr] = await Promise.all([text(session.stdout), text(session.stderr)])
    assert.deepEqual([stdout, stderr, await session.status], ['hello\n', 'oops\n', 7])
  })

  test('carry megabytes both ways, and end of input', async (t) => {
    const { client } = await open(t)
    const content = 'x'.repeat(3_000_000)
    using session = await client.openSession('hello', exec('cat'), t.signal)
    session.stdin.end(content)
    assert.equal((await text(session.stdout)) === content, true)
    assert.equal(await session.status, 0)
  })

  test('carry resizes and signals', async (t) => {
    const { client } = await open(t)
    using session = await client.openSession('hello', exec('cat'), t.signal)
    session.resize(24, 80)
    const [size] = await Array.fromAsync(session.stdout.take(1))
    assert.equal(String(size), '24x80\n')
    session.signal(2)
    assert.equal(await session.status, 130)
  })

  test('end their process when the client hangs up', async (t) => {
    const { client } = await open(t)
    using session = await client.openSession('hello', exec('sh', '-c', 'echo $$; cat'), t.signal)
    const [pid] = await Array.fromAsync(session.stdout.take(1))
    session[Symbol.dispose]()
    await assert.rejects(session.status, { reason: 'SESSION_LOST' })
    await ended(Number(String(pid)))
  })

  test('that cannot be opened say why', async (t) => {
    const { client } = await open(t)
    await assert.rejects(client.openSession('nobody', exec('true'), t.signal), {
      reason: 'TASK_NOT_FOUND',
    })
    await assert.rejects(client.openSession('hello', exec(), t.signal), {
      reason: 'REQUEST_INVALID',
    })
  })

  test('whose command does not exist fail with its error', async (t) => {
    const { client } = await open(t)
    using session = await client.openSession('hello', exec('/nowhere/program'), t.signal)
    await assert.rejects(session.status, { reason: 'COMMAND_NOT_FOUND' })
  })
})

// One event, then none until the caller goes.
async function* oneThenQuiet(_query: unknown, signal: AbortSignal) {
  yield sample.event
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve())
  await promise
}

/** Resolves when there is no such process any more. */
async function ended(pid: number): Promise<void> {
  try {
    process.kill(pid, 0)
  } catch {
    return
  }
  await setImmediate()
  return ended(pid)
}
