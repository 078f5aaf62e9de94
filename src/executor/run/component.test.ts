import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test, type TestContext } from 'node:test'

import { CAT, ECHO, FORWARD, handler, HELLO } from '../../../tests/fixtures/component-texts.ts'
import {
  compileComponent,
  type ComponentText,
  WHOLE_WASI,
} from '../../../tests/fixtures/component.ts'
import { planComponent } from '../component/link.ts'
import { hashSignature } from '../component/types.ts'
import { Connection } from '../http/connection.ts'
import type { Exchange } from '../http/exchange.ts'
import { NO_OUTSIDE, type ModulePlan } from '../protocol.ts'
import { prepareModule } from '../serve/prepare.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import { INTERFACE_NAMES } from '../wasi02/names.ts'
import { SIGNATURES } from '../wasi02/signatures.ts'

import { openRunner } from './create.ts'
import { explain, respondFailure } from './failure.ts'

const MIB = 1024 * 1024
const UNGUARDED = { open: () => undefined, take: () => true }
const PLAN: ModulePlan = {
  task: 'test',
  args: [],
  argv0: 'test',
  env: { GREETING: 'hello' },
  stdout: 'body',
  entry: null,
  isReused: false,
  outside: NO_OUTSIDE,
  script: null,
  limits: {
    memoryBytes: 64 * MIB,
    cpuTimeMs: 1000,
    cpuMillis: null,
    requestTimeoutMs: 10_000,
    outputBytes: 16 * MIB,
    inputBytes: MIB,
    files: 16,
    hostCalls: 100_000,
  },
}

let folder = ''
let compiled = 0

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'quiver-component-'))
})
after(async () => await rm(folder, { recursive: true, force: true }))

interface Served extends AsyncDisposable {
  readonly port: number
  /** What guests logged. */
  readonly log: string[]
}

async function serve(source: ComponentText, plan = PLAN): Promise<Served> {
  const bytes = await compileComponent(source, `c${compiled++}`, folder)
  const log: string[] = []
  const runner = await openRunner({
    ...(await prepareModule(bytes, plan, null)),
    budget: null,
    folders: [],
    log: (_stream, line) => void log.push(Buffer.from(line).toString()),
  })
  const onExchange = async (exchange: Exchange): Promise<void> => {
    try {
      await runner.answer(exchange)
    } catch (thrown) {
      respondFailure(exchange, explain(thrown))
    }
  }
  const server = createServer((socket) => {
    void new Connection(socket, (exchange) => void onExchange(exchange), UNGUARDED)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  return { port: address.port, log, [Symbol.asyncDispose]: async () => void server.close() }
}

interface Sent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly parts?: readonly string[]
  readonly trailers?: Readonly<Record<string, string>>
}

async function ask({ port }: Served, sent: Sent = {}): Promise<[IncomingMessage, string]> {
  const { method = 'GET', headers = {}, parts = [], trailers } = sent
  const request = httpRequest({ port, method, headers, agent: false })
  for (const part of parts) request.write(part)
  if (trailers !== undefined) request.addTrailers(trailers)
  request.end()
  const [response]: IncomingMessage[] = await once(request, 'response')
  assert(response !== undefined)
  return [response, await text(response)]
}

test('every function of WASI 0.2 is offered, with its published type', async () => {
  const { imports } = planComponent(await readFile(WHOLE_WASI))
  assert.equal(imports.length, 180)
  const names: ReadonlySet<string> = new Set(INTERFACE_NAMES)
  for (const { interface: from, name, type } of imports) {
    assert(names.has(from), `${from} is not offered`)
    assert(findHostFunction(from, name) !== undefined, `${from} ${name} is not offered`)
    assert.equal(SIGNATURES[from]?.[name], hashSignature(type), `${from} ${name}`)
  }
})

test('each request has an instance of its own', async () => {
  await using served = await serve(HELLO)
  for (let count = 0; count < 5; count++) {
    const [response, body] = await ask(served)
    assert.equal(response.statusCode, 200)
    assert.equal(body, 'calls: 1\n')
    assert.equal(response.headers['content-length'], '9')
  }
})

test('bodies go through in pieces, with their trailers', async () => {
  await using served = await serve(ECHO)
  const parts = ['one ', 'x'.repeat(500_000), ' two']
  const sent = { method: 'POST', parts, headers: { trailer: 'x-sum' }, trailers: { 'x-sum': '42' } }
  const [response, body] = await ask(served, sent)
  assert.equal(body, parts.join(''))
  assert.equal(response.trailers['x-sum'], '42')
})

test('a body that comes while the guest waits is answered as it comes', async () => {
  await using served = await serve(ECHO)
  const request = httpRequest({ port: served.port, method: 'POST', agent: false })
  request.write('first')
  const [response]: IncomingMessage[] = await once(request, 'response')
  const [first] = await once(response ?? assert.fail(), 'data')
  assert.equal(String(first), 'first')
  request.end('second')
  const [second] = await once(response ?? assert.fail(), 'data')
  assert.equal(String(second), 'second')
})

interface Forwarded {
  readonly served: Served
  readonly headers: { readonly host: string }
}

async function forward(t: TestContext, onRequest: RequestListener): Promise<Forwarded> {
  const server = createHttpServer(onRequest)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  const hosts = [{ host: '127.0.0.1', port: address.port }]
  const outside = { ...NO_OUTSIDE, hosts }
  const limits = { ...PLAN.limits, outputBytes: 64 * MIB }
  const served = await serve(FORWARD, { ...PLAN, outside, limits })
  t.after(() => served[Symbol.asyncDispose]())
  return { served, headers: { host: `127.0.0.1:${address.port}` } }
}

suite('a request that a guest sends on', () => {
  test('has bodies in both directions, as they come', async (t) => {
    const pieces: string[] = []
    const arrived = Promise.withResolvers<ServerResponse>()
    const { served, headers } = await forward(t, (request, response) => {
      request.on('data', (piece: Buffer) => {
        pieces.push(piece.toString())
        arrived.resolve(response)
      })
      request.on('end', () => response.write('third'))
    })
    const request = httpRequest({ port: served.port, method: 'POST', headers, agent: false })
    request.write('first')
    // The server has the first piece while the second has not been sent.
    const answer = await arrived.promise
    assert.deepEqual(pieces, ['first'])
    request.end('second')
    const [response]: IncomingMessage[] = await once(request, 'response')
    const [third] = await once(response ?? assert.fail(), 'data')
    assert.equal(String(third), 'third')
    assert.equal(pieces.join(''), 'firstsecond')
    answer.end('fourth')
    const [fourth] = await once(response ?? assert.fail(), 'data')
    assert.equal(String(fourth), 'fourth')
  })

  test('may be larger than all that a guest may hold', async (t) => {
    let received = 0
    const { served, headers } = await forward(t, (request, response) => {
      request.on('data', ({ length }: Buffer) => (received += length))
      request.on('end', () => response.end(Buffer.alloc(24 * MIB, 'y')))
    })
    const parts = Array.from({ length: 24 }, () => 'z'.repeat(MIB))
    const [response, body] = await ask(served, { method: 'POST', headers, parts })
    assert.equal(response.statusCode, 200)
    assert.deepEqual([received, body.length], [24 * MIB, 24 * MIB])
  })

  test('fails when the server breaks the connection, before and within the answer', async (t) => {
    let isBegun = false
    const { served, headers } = await forward(t, (request, response) => {
      if (isBegun) response.write('begun', () => request.socket.destroy())
      else request.socket.destroy()
    })
    const [refused] = await ask(served, { method: 'POST', headers })
    assert.equal(refused.statusCode, 502)
    isBegun = true
    await assert.rejects(ask(served, { method: 'POST', headers }), { code: 'ECONNRESET' })
  })

  test('is ended with the guest', async (t) => {
    const begun = Promise.withResolvers<IncomingMessage>()
    const { served, headers } = await forward(t, (request) => begun.resolve(request))
    const request = httpRequest({ port: served.port, method: 'POST', headers, agent: false })
    request.on('error', () => {})
    request.write('first')
    const atServer = await begun.promise
    atServer.on('error', () => {})
    const closed = Promise.withResolvers<void>()
    atServer.socket.on('close', closed.resolve)
    request.destroy()
    await closed.promise
  })
})

test('a command is run for each request', async () => {
  await using served = await serve(CAT)
  const [response, body] = await ask(served, { method: 'POST', parts: ['some text'] })
  assert.equal(response.statusCode, 200)
  assert.equal(body, 'some text')
  const [failed] = await ask(served)
  assert.equal(failed.statusCode, 502)
})

const BROKEN: readonly (readonly [what: string, source: ComponentText, reason: string])[] = [
  ['ends without an answer', handler(''), 'RESPONSE_INVALID'],
  ['traps', handler('unreachable'), 'TRAPPED'],
  ['uses a handle it has not', handler('(drop (call $1 (i32.const 77)))'), 'TRAPPED'],
  [
    'uses a handle of another resource',
    handler('(drop (call $1 (local.get $request)))'),
    'TRAPPED',
  ],
  [
    'uses what it has given away',
    handler(
      '(local.set $fields (call $0)) (drop (call $1 (local.get $fields))) (drop (call $1 (local.get $fields)))',
    ),
    'TRAPPED',
  ],
  [
    'asks for an answer outside of its memory',
    handler('(call $2 (call $1 (call $0)) (i32.const -8))'),
    'TRAPPED',
  ],
  [
    'answers with an error',
    handler(
      '(call $3 (local.get $out) (i32.const 1) (i32.const 38) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))',
    ),
    'RESPONSE_FAILED',
  ],
  [
    'answers with a case that does not exist',
    handler(
      '(call $3 (local.get $out) (i32.const 7) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))',
    ),
    'TRAPPED',
  ],
  ['makes handles without end', handler('(loop $again (drop (call $0)) (br $again))'), 'TRAPPED'],
]

for (const [what, source, reason] of BROKEN) {
  test(`a guest that ${what} loses its request, and the next one is answered`, async () => {
    await using served = await serve(source)
    for (let count = 0; count < 2; count++) {
      const [response, body] = await ask(served)
      assert.equal(response.statusCode, 502)
      assert.equal(JSON.parse(body).reason, reason)
    }
  })
}

test('host calls are limited', async () => {
  const limits = { ...PLAN.limits, hostCalls: 10 }
  const source = handler('(loop $again (call $1 (call $0)) (br $again))', [
    { interface: 'wasi:http/types', name: '[constructor]fields' },
    { interface: 'wasi:http/types', name: '[resource-drop]fields' },
  ])
  await using served = await serve(source, { ...PLAN, limits })
  const [, body] = await ask(served)
  assert.equal(JSON.parse(body).reason, 'HOST_CALLS')
})

test('an import of another type than WASI has is refused', async () => {
  const type = { params: [], result: { kind: 'primitive', primitive: 'u32' } } as const
  const source = handler('', [{ interface: 'wasi:random/random', name: 'get-random-u64' }], {
    'get-random-u64': type,
  })
  await assert.rejects(serve(source), { reason: 'MODULE_INVALID', message: /get-random-u64/ })
})

test('an import that nobody offers is refused by name', async () => {
  const type = { params: [], result: null }
  const source = handler('', [{ interface: 'wasi:random/random', name: 'get-dice' }], {
    'get-dice': type,
  })
  await assert.rejects(serve(source), { reason: 'MODULE_IMPORTS_UNKNOWN', message: /get-dice/ })
})
