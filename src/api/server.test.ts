import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'

import type * as z from 'zod'

import { buildFakeControl, portOf } from '../../tests/fixtures/fake-control.ts'
import { event } from '../../tests/fixtures/samples.ts'
import { digestOf } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import { ENDPOINTS } from './endpoints.ts'
import type { Endpoint } from './endpoints.ts'
import { SCHEMAS } from './schemas.ts'
import { openApiServer } from './server.ts'
import type { ControlService } from './service.ts'
import { loadToken } from './token.ts'

const TOKEN = 'secret-secret-secret-secret-secret'

interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

interface Asked {
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** A server on a unix socket and on TCP, and how to ask each. */
async function serve(t: TestContext, overrides: Partial<ControlService> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-api-'))
  t.after(() => rm(folder, { recursive: true }))
  const control = buildFakeControl(overrides)
  const failures: QuiverError[] = []
  const socketPath = path.join(folder, 'api.sock')
  const server = await openApiServer({
    service: control,
    onFailure: (error) => failures.push(error),
    listeners: [
      { listen: { path: socketPath }, access: { kind: 'unix' } },
      {
        listen: { host: '127.0.0.1', port: 0 },
        access: { kind: 'tcp', token: TOKEN, hosts: ['box.example'] },
      },
    ],
  })
  t.after(() => server[Symbol.asyncDispose]())
  const port = portOf(server.addresses[1])
  const unix = (asked: Asked) => ask({ socketPath }, asked)
  const tcp = (asked: Asked) => ask({ host: '127.0.0.1', port }, asked)
  return { control, failures, socketPath, port, unix, tcp }
}

async function ask(where: object, { method = 'GET', path: url, body, headers }: Asked) {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const json = body === undefined ? {} : { 'content-type': 'application/json' }
  const call = request({ ...where, method, path: url, headers: { ...json, ...headers } })
  call.once('error', reject)
  call.once('response', (response) => {
    const status = response.statusCode ?? 0
    text(response).then((all) => resolve({ status, headers: response.headers, body: all }), reject)
  })
  call.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  return promise
}

function errorOf({ body }: Answer): { reason: string; requestId: string } {
  return JSON.parse(body)
}

suite('access', () => {
  test('a unix socket needs no token', async (t) => {
    const { unix } = await serve(t)
    assert.equal((await unix({ path: '/v1/tasks' })).status, 200)
  })

  const refused: readonly [what: string, headers: Record<string, string>][] = [
    ['no token', {}],
    ['a wrong token', { authorization: 'Bearer wrong' }],
    ['a token of another scheme', { authorization: `Basic ${TOKEN}` }],
    ['the beginning of the token', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
  ]
  for (const [what, headers] of refused) {
    test(`TCP refuses ${what}`, async (t) => {
      const { tcp } = await serve(t)
      const answer = await tcp({ path: '/v1/tasks', headers })
      assert.equal(answer.status, 401)
      assert.equal(errorOf(answer).reason, 'TOKEN_REFUSED')
    })
  }

  const hosts: readonly [host: string, status: number][] = [
    ['localhost:80', 200],
    ['[::1]:80', 200],
    ['192.0.2.1', 200],
    ['box.example', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
  ]
  for (const [host, status] of hosts) {
    test(`TCP answers the host ${host} with ${status}`, async (t) => {
      const { tcp } = await serve(t)
      const headers = { authorization: `Bearer ${TOKEN}`, host }
      assert.equal((await tcp({ path: '/v1/tasks', headers })).status, status)
    })
  }

  test('an upgrade on TCP needs the token too', async (t) => {
    const { tcp } = await serve(t)
    const headers = { connection: 'upgrade', upgrade: 'quiver-stdio' }
    assert.equal((await tcp({ path: '/v1/sessions/hello', headers })).status, 401)
  })

  test('loadToken() makes a token that only its owner can read, once', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-token-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = path.join(folder, 'token')
    const token = await loadToken(file)
    assert.equal(await loadToken(file), token)
    assert.equal((await readFile(file, 'utf8')).trim(), token)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
  })
})

suite('answers', () => {
  const NEEDS_FILES = new Set(['putImage', 'putBinary'])
  const samples: Readonly<Record<string, { path?: string; body?: unknown }>> = {
    deploy: { body: { image: digestOf('image') } },
    difference: { body: { image: digestOf('image'), trafficPercent: 10 } },
    rollback: { body: { revision: null } },
    scale: { body: { instances: 3 } },
    signalInstance: { body: { signal: 15 } },
    invoke: { body: { export: 'add', args: ['2', '40'] } },
    runSnippet: { body: { code: 'console.log(1 + 1)', timeoutMs: 1000 } },
    createRun: {
      body: {
        image: digestOf('image'),
        terminal: { rows: 24, columns: 80 },
        hasStdin: true,
        isDetached: false,
        isRemovedAtEnd: true,
      },
    },
    missing: { body: { digests: [digestOf('x')] } },
    resolveBinary: { body: { reference: 'node@26' } },
  }
  const outputs = new Map<string, z.ZodType>(
    Object.entries(SCHEMAS).map(([id, { output }]) => [id, output]),
  )
  const endpoints: readonly [id: string, endpoint: Endpoint][] = Object.entries(ENDPOINTS)
  for (const [id, endpoint] of endpoints) {
    if (endpoint.kind !== 'json' || NEEDS_FILES.has(id)) continue
    test(`${id} answers what its schema says`, async (t) => {
      const { unix } = await serve(t)
      const url = endpoint.path.replace(':number', '1').replace(/:\w+/, 'hello')
      const body = samples[id]?.body
      const answer = await unix({ method: endpoint.method, path: url, body })
      assert.equal(answer.status, 200, answer.body)
      const result = outputs.get(id)?.safeParse(JSON.parse(answer.body))
      assert.equal(result?.error?.message, undefined)
      assert.equal(result?.success, true)
    })
  }

  test('metrics are text', async (t) => {
    const { unix } = await serve(t)
    const { headers, body } = await unix({ path: '/metrics' })
    assert.match(String(headers['content-type']), /^text\/plain/)
    assert.match(body, /^quiver_tasks 1$/m)
  })

  test('a core dump is bytes, for a number that is one', async (t) => {
    const { unix } = await serve(t)
    const { headers, body } = await unix({ path: '/v1/cores/hello/3' })
    assert.deepEqual([headers['content-type'], body], ['application/octet-stream', 'hello 3'])
    assert.equal((await unix({ path: '/v1/cores/hello/x' })).status, 400)
  })

  test("the caller's request id is kept, and anything else replaced", async (t) => {
    const { unix } = await serve(t)
    const kept = await unix({ path: '/v1/tasks', headers: { 'x-request-id': 'abc.1' } })
    assert.equal(kept.headers['x-request-id'], 'abc.1')
    const replaced = await unix({ path: '/v1/tasks', headers: { 'x-request-id': 'a b' } })
    assert.match(String(replaced.headers['x-request-id']), /^[0-9a-f]{16}$/)
  })
})

suite('errors', () => {
  const image = digestOf('image')
  const invalid: readonly [what: string, asked: Asked, message: RegExp][] = [
    ['an unknown key', { path: '/v1/tasks', body: { image, color: 1 } }, /body.*color/],
    ['a digest that is none', { path: '/v1/tasks', body: { image: 'x' } }, /body\.image/],
    ['a percentage over 100', { path: '/v1/tasks', body: { image, trafficPercent: 101 } }, /100/],
    ['half an instance', { path: '/v1/tasks/hello/scale', body: { instances: 0.5 } }, /instances/],
    ['broken JSON', { path: '/v1/tasks', body: '{' }, /JSON/],
    [
      'a body of another type',
      { path: '/v1/tasks', headers: { 'content-type': 'text/html' } },
      /JSON/,
    ],
  ]
  for (const [what, asked, message] of invalid) {
    test(`${what} is refused and named`, async (t) => {
      const { unix, control } = await serve(t)
      const answer = await unix({ method: 'POST', ...asked })
      assert.equal(answer.status, 400)
      assert.match(answer.body, message)
      assert.deepEqual(control.calls, [])
    })
  }

  test('a QuiverError keeps code, reason, message and hint', async (t) => {
    const { unix, failures } = await serve(t)
    const answer = await unix({ path: '/v1/tasks/hallo' })
    assert.equal(answer.status, 404)
    const { requestId, ...body } = JSON.parse(answer.body)
    assert.equal(requestId, answer.headers['x-request-id'])
    assert.deepEqual(body, {
      code: 'not_found',
      reason: 'TASK_NOT_FOUND',
      message: 'there is no task "hallo"',
      hint: 'Did you mean "hello"?',
    })
    assert.deepEqual(failures, [])
  })

  test('an unexpected failure is a 500 and is told to the node', async (t) => {
    const oops = new TypeError('oops')
    const { unix, failures } = await serve(t, { listTasks: () => Promise.reject(oops) })
    const answer = await unix({ path: '/v1/tasks' })
    assert.equal(answer.status, 500)
    assert.deepEqual(
      failures.map(({ message }) => message),
      ['oops'],
    )
  })

  test('a call that does not exist is a 404 with JSON', async (t) => {
    const { unix } = await serve(t)
    const answer = await unix({ method: 'PATCH', path: '/v1/tasks' })
    assert.equal(answer.status, 404)
    assert.equal(errorOf(answer).reason, 'ENDPOINT_NOT_FOUND')
  })
})

suite('streams', () => {
  test('lines are JSON, one record each', async (t) => {
    const { unix } = await serve(t)
    const { body, headers } = await unix({ path: '/v1/logs/hello?tail=2&follow=true' })
    assert.equal(headers['content-type'], 'application/x-ndjson')
    const records = body
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line).stream)
    assert.deepEqual(records, ['stdout', 'stderr'])
  })

  test('a failure before the first line is the answer', async (t) => {
    const { unix } = await serve(t)
    assert.equal((await unix({ path: '/v1/logs/nobody' })).status, 404)
  })

  test('a failure after it is the last line', async (t) => {
    const { unix } = await serve(t, { events: failAfterOne })
    const { status, body } = await unix({ path: '/v1/events' })
    assert.equal(status, 200)
    assert.match(
      body,
      /^\{"sequence":7,.*\}\n\{"error":\{"code":"data_loss","reason":"STATE_CORRUPT"/,
    )
  })

  test('a quiet stream is begun before its first line, and aborted when its caller goes', async (t) => {
    const aborted = Promise.withResolvers<void>()
    const events: ControlService['events'] = async function* events(_query, signal) {
      signal.addEventListener('abort', () => aborted.resolve())
      await aborted.promise
      yield* []
    }
    const { socketPath } = await serve(t, { events })
    const call = request({ socketPath, path: '/v1/events?follow=true' }).end()
    const { promise, resolve } = Promise.withResolvers<void>()
    call.once('response', () => resolve())
    call.on('error', () => {})
    await promise
    call.destroy()
    await aborted.promise
  })

  test('a stream is made no faster than it is read', async (t) => {
    let made = 0
    const events: ControlService['events'] = async function* events() {
      for (; made < 100_000; made++) yield JSON.parse(`{"message":"${'x'.repeat(10_000)}"}`)
    }
    const { socketPath } = await serve(t, { events })
    const call = request({ socketPath, path: '/v1/events' }).end()
    const { promise, resolve } = Promise.withResolvers<void>()
    call.once('response', (response) => response.once('readable', () => resolve()))
    call.on('error', () => {})
    await promise
    assert.ok(made < 10_000, `${made} lines were made for a caller that reads nothing`)
    call.destroy()
  })

  test('an upload reaches the store, and a wrong one is refused', async (t) => {
    const { unix, control } = await serve(t)
    const digest = digestOf('content')
    const put = { method: 'PUT', path: `/v1/files/${digest}` }
    assert.equal((await unix({ ...put, body: 'other' })).status, 400)
    assert.equal((await unix({ ...put, body: 'content' })).status, 200)
    assert.equal(control.files.get(digest)?.toString(), 'content')
  })
})

test('disposing the server cuts an open session', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-api-'))
  t.after(() => rm(folder, { recursive: true }))
  const socketPath = path.join(folder, 'api.sock')
  const server = await openApiServer({
    service: buildFakeControl(),
    onFailure: () => {},
    listeners: [{ listen: { path: socketPath }, access: { kind: 'unix' } }],
  })
  const socket = connect(socketPath)
  socket.write(
    'GET /v1/sessions/hello HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: quiver-stdio\r\n\r\n',
  )
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('data', () => resolve())
  await promise
  const closed = Promise.withResolvers<void>()
  socket.once('close', () => closed.resolve())
  await server[Symbol.asyncDispose]()
  await closed.promise
})

async function* failAfterOne() {
  yield event
  throw new QuiverError('data_loss', 'STATE_CORRUPT', 'broken')
}
