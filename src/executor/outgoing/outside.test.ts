import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { promisify } from 'node:util'

import type { OutgoingRequest, TaskCall } from '../guest-host.ts'
import type { OutsidePlan } from '../protocol.ts'
import type { StreamedRequest } from '../streaming.ts'

import { Outside, type OutsideContext } from './outside.ts'

const HOST = { host: 'api.example.com', port: 80 }
const TASKS = [{ name: 'shop', port: 80, task: 'shop' }]
const GET: OutgoingRequest = {
  method: 'GET',
  rawHeaders: [],
  body: new Uint8Array(0),
  answerBytesMax: 1000,
}
const CALL: TaskCall = {
  task: 'shop',
  function: 'add',
  args: [2, 40n],
  result: 'i64',
  input: new Uint8Array(0),
  inputHeaders: [],
  buffers: new Map(),
  answerBytesMax: 1000,
}

const run = promisify(execFile)

interface Certificate {
  readonly key: string
  readonly cert: string
}

interface Egress {
  readonly plan: OutsidePlan
  /** First lines that came. */
  readonly lines: string[]
}

/** In the place of egress: answers the first line, and what follows is for a server. */
async function openEgress(
  t: TestContext,
  answer: string,
  onRequest: RequestListener = (_, response) => response.end(),
  certificate: Certificate | null = null,
): Promise<Egress> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-outside-'))
  const lines: string[] = []
  const server =
    certificate === null ? createHttpServer(onRequest) : createSecureServer(certificate, onRequest)
  const clients = new Set<Socket>()
  const egress = createServer((client) => {
    clients.add(client)
    client.on('error', () => {})
    client.once('data', (chunk: Buffer) => {
      lines.push(chunk.toString())
      client.write(answer)
      if (answer === 'ok\n') server.emit('connection', client)
      else client.end()
    })
  })
  const file = path.join(folder, 'egress.sock')
  egress.listen(file)
  await once(egress, 'listening')
  t.after(async () => {
    for (const client of clients) client.destroy()
    egress.close()
    await rm(folder, { recursive: true })
  })
  return { plan: { egress: { path: file, token: 'secret' }, hosts: [HOST], tasks: TASKS }, lines }
}

function outside(plan: OutsidePlan, context: Partial<OutsideContext> = {}): Outside {
  return new Outside({
    task: 'up',
    plan,
    chain: [],
    requestId: 'r1',
    gone: new AbortController().signal,
    timeoutMs: 60_000,
    inputBytesMax: 10_000,
    ...context,
  })
}

suite('a request', () => {
  test('is asked of egress with the token, and carries what the guest says', async (t) => {
    const { plan, lines } = await openEgress(t, 'ok\n', (request, response) => {
      response.setHeader('X-Answer', 'yes')
      response.setHeader('Connection', 'close')
      response
        .writeHead(418)
        .end(`${request.method} ${request.url} ${request.rawHeaders.join('|')}`)
    })
    const rawHeaders = ['Accept', 'a/b', 'x-thing', 'caf\u00e9']
    const answer = await outside(plan).fetch('http://api.example.com/a?b=c', { ...GET, rawHeaders })
    assert.deepEqual(lines, ['secret api.example.com 80\n'])
    assert.equal(answer.status, 418)
    assert.equal(
      Buffer.from(answer.body).toString(),
      'GET /a?b=c Host|api.example.com|Connection|close|Accept|a/b|x-thing|caf\u00e9',
    )
    assert.ok(answer.rawHeaders.includes('X-Answer'))
    assert.ok(!answer.rawHeaders.includes('Connection'))
  })

  test('says itself where it ends, and never who sends it', async (t) => {
    let told: readonly string[] = []
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      told = request.rawHeaders
      response.end()
    })
    const names = [
      'Host',
      'Content-Length',
      'Transfer-Encoding',
      'Connection',
      'Upgrade',
      'TE',
      'Trailer',
      'Expect',
      'X-Quiver-From',
      'X_Quiver_From',
      'Quiver-Call-Chain',
      'X-Request-Id',
    ]
    const body = Buffer.from('body')
    const request = {
      ...GET,
      method: 'POST',
      body,
      rawHeaders: names.flatMap((name) => [name, '9']),
    }
    await outside(plan).fetch('http://api.example.com/', request)
    assert.deepEqual(told, [
      'Host',
      'api.example.com',
      'Connection',
      'close',
      'Content-Length',
      '4',
    ])
  })

  const hostile: readonly [what: string, request: Partial<OutgoingRequest>][] = [
    ['a header with a line break', { rawHeaders: ['a', 'b\r\nX-Evil: 1'] }],
    ['a header name with a colon', { rawHeaders: ['a: b\r\nc', 'd'] }],
    ['a method with a space', { method: 'GET / HTTP/1.1\r\n' }],
  ]
  for (const [what, changes] of hostile) {
    test(`with ${what} is refused`, async (t) => {
      const { plan } = await openEgress(t, 'ok\n')
      const asked = outside(plan).fetch('http://api.example.com/', { ...GET, ...changes })
      await assert.rejects(asked, { code: 'invalid_argument', reason: 'REQUEST_INVALID' })
    })
  }

  test('gets no longer answer than there is room for', async (t) => {
    const { plan } = await openEgress(t, 'ok\n', (_, response) => response.end('x'.repeat(1001)))
    await assert.rejects(outside(plan).fetch('http://api.example.com/', GET), {
      code: 'resource_exhausted',
      reason: 'ANSWER_TOO_LARGE',
    })
  })

  test('is refused as egress refuses it', async (t) => {
    const { plan } = await openEgress(t, 'permission_denied ADDRESS_REFUSED it is private\n')
    await assert.rejects(outside(plan).fetch('http://api.example.com/', GET), {
      code: 'permission_denied',
      reason: 'ADDRESS_REFUSED',
      message: 'it is private',
    })
  })

  test('fails with a reason when the connection breaks', async (t) => {
    const { plan } = await openEgress(t, 'ok\n', (request) => request.socket.destroy())
    await assert.rejects(outside(plan).fetch('http://api.example.com/', GET), {
      reason: 'TARGET_BROKE',
    })
    const nowhere = { ...plan, egress: { path: '/nonexistent/egress.sock', token: '' } }
    await assert.rejects(outside(nowhere).fetch('http://api.example.com/', GET), {
      reason: 'TARGET_UNREACHABLE',
    })
  })

  test('ends with whoever waited for it, and after its time', async (t) => {
    const gone = new AbortController()
    const { plan } = await openEgress(t, 'ok\n', () => gone.abort(new Error('nobody waits')))
    const asked = outside(plan, { gone: gone.signal }).fetch('http://api.example.com/', GET)
    await assert.rejects(asked, /nobody waits/)
    const silent = await openEgress(t, 'ok\n', () => {})
    const late = outside(silent.plan, { timeoutMs: 50 }).fetch('http://api.example.com/', GET)
    await assert.rejects(late, { code: 'deadline_exceeded', reason: 'TARGET_TIMEOUT' })
  })

  test('over TLS fails unless the name is vouched for', async (t) => {
    const { plan } = await openEgress(t, 'ok\n')
    const secure = { ...plan, hosts: [{ host: 'api.example.com', port: 443 }] }
    await assert.rejects(outside(secure).fetch('https://api.example.com/', GET), {
      reason: 'TLS_FAILED',
    })
  })
})

function pieces(body: AsyncIterator<Buffer>): StreamedRequest {
  return {
    method: 'PUT',
    rawHeaders: [],
    body: {
      length: null,
      trailers: ['X-Sum', '6', 'Content-Length', '9', 'X-Quiver-From', 'evil'],
      next: async () => {
        const { done, value } = await body.next()
        return done === true ? null : value
      },
      close: () => void body.return?.(),
    },
    timeouts: { connectMs: null, firstByteMs: null, betweenBytesMs: null },
    signal: new AbortController().signal,
  }
}

async function* three(): AsyncGenerator<Buffer, undefined> {
  for (const piece of ['one', 'two', 'six']) yield await Promise.resolve(Buffer.from(piece))
}

suite('a request in pieces', () => {
  test('is sent as it comes, with trailers that the guest may set', async (t) => {
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      response.setHeader('Trailer', 'X-Seen')
      request.on('data', (piece: Buffer) => response.write(piece))
      request.on('end', () => {
        response.addTrailers({ 'X-Seen': request.rawTrailers.join('|') })
        response.end()
      })
    })
    const { status, body } = await outside(plan).open('http://api.example.com/', pieces(three()))
    assert.equal(status, 200)
    let seen = ''
    for (let part = await body.read(9); part !== null; part = await body.read(9)) {
      seen += Buffer.from(part).toString()
    }
    assert.equal(seen, 'onetwosix')
    assert.deepEqual(body.trailers, ['X-Seen', 'X-Sum|6'])
  })

  test('is asked for no more than the server takes', async (t) => {
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      request.pause()
      response.write('begun')
    })
    let asked = 0
    const stopped = Promise.withResolvers<void>()
    async function* endless(): AsyncGenerator<Buffer, undefined> {
      try {
        for (;;) {
          asked++
          yield await Promise.resolve(Buffer.alloc(1024 * 1024))
        }
      } finally {
        stopped.resolve()
      }
    }
    const answer = await outside(plan).open('http://api.example.com/', pieces(endless()))
    assert.equal(String(await answer.body.read(5)), 'begun')
    answer.body.close()
    await stopped.promise
    // What the sockets between hold, and no more.
    assert.ok(asked < 64, `${asked} MiB were taken`)
  })

  test('keeps the times that the guest sets', async (t) => {
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      if (request.url === '/begins') response.write('begun')
    })
    const timeouts = { connectMs: null, firstByteMs: 50, betweenBytesMs: 50 }
    const request = { ...pieces(three()), timeouts }
    await assert.rejects(outside(plan).open('http://api.example.com/', request), {
      reason: 'TARGET_TIMEOUT',
    })
    const begins = { ...pieces(three()), timeouts: { ...timeouts, firstByteMs: null } }
    const { body } = await outside(plan).open('http://api.example.com/begins', begins)
    assert.equal(String(await body.read(5)), 'begun')
    await assert.rejects(body.read(5), { reason: 'TARGET_TIMEOUT' })
  })

  test('ends with whoever asked for it', async (t) => {
    const closed = Promise.withResolvers<void>()
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      request.socket.on('close', closed.resolve)
      response.write('begun')
    })
    const ended = new AbortController()
    const request = { ...pieces(three()), signal: ended.signal }
    const { body } = await outside(plan).open('http://api.example.com/', request)
    await body.read(5)
    ended.abort()
    await closed.promise
    await assert.rejects(body.read(5), { reason: 'TARGET_BROKE' })
  })
})

test('a name over TLS is verified, with the authorities of Node.js', async (t) => {
  const certificate = await makeCertificate(t, 'api.example.com')
  const before = getCACertificates('default')
  const { plan } = await openEgress(t, 'ok\n', answerPath, certificate)
  const hosts = ['api.example.com', 'other.example.com'].map((host) => ({ host, port: 443 }))
  const fetch = (url: string) => outside({ ...plan, hosts }).fetch(url, GET)
  await assert.rejects(fetch('https://api.example.com/'), { reason: 'TLS_FAILED' })
  setDefaultCACertificates([certificate.cert])
  t.after(() => setDefaultCACertificates(before))
  const { body } = await fetch('https://api.example.com/x')
  assert.equal(Buffer.from(body).toString(), 'seen /x')
  await assert.rejects(fetch('https://other.example.com/'), { reason: 'TLS_FAILED' })
})

const answerPath: RequestListener = (request, response) => response.end(`seen ${request.url}`)

async function makeCertificate(t: TestContext, name: string): Promise<Certificate> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-certificate-'))
  t.after(() => rm(folder, { recursive: true }))
  const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')]
  const kind = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' ')
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  await run('openssl', ['req', ...kind, ...names, '-keyout', key, '-out', cert])
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
}

suite('a call', () => {
  test('passes numbers as texts, and those who wait for it', async (t) => {
    const seen: unknown[] = []
    const { plan } = await openEgress(t, 'ok\n', (request, response) => {
      const { url, headers } = request
      seen.push(url, headers['quiver-call-chain'], headers['x-request-id'])
      request.on('data', (chunk: Buffer) => seen.push(JSON.parse(chunk.toString())))
      request.on('end', () => response.end('{"value":"9007199254740993"}'))
    })
    const { value } = await outside(plan, { chain: ['a', 'b'] }).callTask(CALL)
    assert.equal(value, 9_007_199_254_740_993n)
    const [url, chain, id, body] = seen
    assert.deepEqual([url, chain, id], ['/.well-known/quiver/call/add', 'a,b,up', 'r1'])
    assert.deepEqual(body, { args: ['2', '40'] })
  })

  test('is refused where it would never end', async (t) => {
    const { plan } = await openEgress(t, 'ok\n')
    await assert.rejects(outside(plan, { chain: ['shop', 'b'] }).callTask(CALL), {
      reason: 'CALL_CYCLE',
      message: 'the call would never end: shop → b → up → shop',
    })
    const chain = ['1', '2', '3', '4', '5', '6', '7', '8']
    await assert.rejects(outside(plan, { chain }).callTask(CALL), { reason: 'CALL_TOO_DEEP' })
    await assert.rejects(outside(plan, { chain }).requestTask('shop', '/', GET), {
      reason: 'CALL_TOO_DEEP',
    })
  })

  test('that fails says so with the reason of the callee', async (t) => {
    const body = { code: 'unavailable', reason: 'TRAPPED', message: 'the guest trapped' }
    const { plan } = await openEgress(t, 'ok\n', (_, response) => {
      response.writeHead(502).end(JSON.stringify(body))
    })
    await assert.rejects(outside(plan).callTask(CALL), {
      reason: 'TRAPPED',
      message: 'add of task shop failed with status 502: the guest trapped',
    })
  })
})
