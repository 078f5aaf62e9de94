import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

import { ask, buildTask, exchangeRaw, openBench, parseAnswer, type Bench } from './harness.ts'

/** One running instance of `hello`. */
async function serve(bench: Bench, handler: RequestListener, limits: object = {}): Promise<void> {
  const instance = await bench.serve('i1', handler)
  await bench.control.publish(buildTask({ revisions: [{ ...limits, instances: [instance] }] }))
}

/** One running instance of `hello` that answers whatever comes with the same bytes. */
async function serveRaw(bench: Bench, answer: string): Promise<void> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', () => socket.write(answer, 'latin1'))
  })
  const instance = await bench.serve('i1', server)
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
}

const echo: RequestListener = (request, response) => {
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify({ url: request.url, headers: request.rawHeaders }))
}

interface Echo {
  readonly url: string
  readonly headers: readonly string[]
}

function headersOf({ text: body }: { readonly text: string }): ReadonlyMap<string, string> {
  const { headers }: Echo = JSON.parse(body)
  const pairs = headers.flatMap((name, index) =>
    index % 2 === 0 ? [[name.toLowerCase(), headers[index + 1] ?? ''] as const] : [],
  )
  return new Map(pairs)
}

test('a request goes to the running instance of the task that its host names', async () => {
  await using bench = await openBench()
  await serve(bench, echo)
  const answer = await ask(bench, '/a%2Fb//c?x=1&x=2')
  assert.equal(answer.status, 200)
  assert.equal(JSON.parse(answer.text).url, '/a%2Fb//c?x=1&x=2')
  assert.match(answer.headers.get('x-request-id') ?? '', /^[\w.-]{1,64}$/)
  assert.equal(answer.headers.get('server-timing'), 'quiver;desc=warm;dur=0')
})

test('an unknown host, path or method is named, in JSON', async () => {
  await using bench = await openBench()
  await bench.control.publish(buildTask({ routes: ['GET hello.localhost/a'] }))
  const cases = [
    ['GET', '/a', 'Host: other.localhost\r\n', 404, 'NO_ROUTE'],
    ['GET', '/b', '', 404, 'NO_ROUTE'],
    ['POST', '/a', '', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/x/../a', '', 400, 'PATH_AMBIGUOUS'],
    ['GET', '/x/%2e%2e%2fa', '', 400, 'PATH_AMBIGUOUS'],
  ] as const
  for (const [method, target, headers, status, reason] of cases) {
    const answer = await ask(bench, target, { method, headers })
    assert.equal(answer.status, status, target)
    const body = JSON.parse(answer.text)
    assert.equal(body.reason, reason)
    assert.equal(body.component, 'proxy')
    assert.equal(body.requestId, answer.headers.get('x-request-id'))
    assert.ok(body.hint.length > 0)
  }
  const refused = await ask(bench, '/a', { method: 'PUT' })
  assert.equal(refused.headers.get('allow'), 'GET, HEAD')
})

test('hop-by-hop headers and what a client says of its origin end at the proxy', async () => {
  await using bench = await openBench()
  await serve(bench, echo)
  const headers = [
    'X-Quiver-Task: admin',
    'X_Quiver_Task: admin',
    'X-Forwarded-For: 1.2.3.4',
    'X_Forwarded_For: 1.2.3.4',
    'X-Forwarded-Proto: https',
    'Forwarded: for=1.2.3.4',
    'X-Real-IP: 1.2.3.4',
    'Keep-Alive: timeout=5',
    'Proxy-Authorization: Basic abc',
    'TE: trailers, deflate',
    'Connection: close, X-Secret-Hop',
    'X-Secret-Hop: 1',
    'Cookie: a=1',
    'X-Kept: one',
    'X-Kept: two',
    'X-Request-Id: my-id.1',
  ]
  const answer = await ask(bench, '/', { headers: `${headers.join('\r\n')}\r\n` })
  const seen = headersOf(answer)
  for (const name of ['x-quiver-task', 'x_quiver_task', 'x_forwarded_for', 'x-real-ip']) {
    assert.equal(seen.has(name), false, name)
  }
  for (const name of ['keep-alive', 'proxy-authorization', 'x-secret-hop', 'connection']) {
    assert.equal(seen.has(name), false, name)
  }
  assert.equal(seen.get('x-forwarded-for'), '127.0.0.1')
  assert.equal(seen.get('x-forwarded-proto'), 'http')
  assert.equal(seen.get('x-forwarded-host'), 'hello.localhost')
  assert.equal(seen.get('forwarded'), 'for=127.0.0.1;host="hello.localhost";proto=http')
  assert.equal(seen.get('te'), 'trailers')
  assert.equal(seen.get('cookie'), 'a=1')
  assert.equal(seen.get('x-request-id'), 'my-id.1')
  assert.equal(answer.headers.get('x-request-id'), 'my-id.1')
  assert.equal(JSON.parse(answer.text).headers.filter((one: string) => one === 'X-Kept').length, 2)
})

test('a trusted sender may say where a request came from', async () => {
  await using bench = await openBench({ trusted: ['127.0.0.0/8'] })
  await serve(bench, echo)
  const headers = 'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n'
  const seen = headersOf(await ask(bench, '/', { headers }))
  assert.equal(seen.get('x-forwarded-for'), '1.2.3.4, 127.0.0.1')
  assert.equal(seen.get('x-forwarded-proto'), 'https')
})

test('an absolute target names the host', async () => {
  await using bench = await openBench()
  await serve(bench, echo)
  const raw = 'GET http://hello.localhost:80?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  const answer = parseAnswer(await exchangeRaw(bench, raw))
  assert.equal(JSON.parse(answer.text).url, '/?q')
  assert.equal(headersOf(answer).get('host'), 'hello.localhost:80')
})

test('HEAD, 204 and 304 have no body, and a 304 keeps its Content-Length', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => {
    if (request.url === '/204') response.writeHead(204).end()
    else if (request.url === '/304') response.writeHead(304, { 'Content-Length': '5' }).end()
    else response.writeHead(200, { 'Content-Length': '5' }).end('hello')
  })
  const head = await ask(bench, '/', { method: 'HEAD' })
  assert.equal(head.headers.get('content-length'), '5')
  assert.equal(head.text, '')
  assert.equal((await ask(bench, '/204')).status, 204)
  const notModified = await ask(bench, '/304')
  assert.equal(notModified.status, 304)
  assert.equal(notModified.headers.get('content-length'), '5')
})

test('a client of HTTP/1.0 gets a body that ends with the connection', async () => {
  await using bench = await openBench()
  await serve(bench, (_request, response) => {
    response.write('in ')
    response.end('pieces')
  })
  const answer = parseAnswer(
    await exchangeRaw(bench, 'GET / HTTP/1.0\r\nHost: hello.localhost\r\n\r\n'),
  )
  assert.equal(answer.text, 'in pieces')
  assert.equal(answer.headers.has('transfer-encoding'), false)
})

test('trailers pass in both directions', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { Trailer: 'X-Sum' })
      response.write('body')
      response.addTrailers({ 'X-Sum': request.trailers['x-check'] ?? 'none' })
      response.end()
    })
  })
  const raw = [
    'POST / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked',
    'Trailer: X-Check\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 42\r\n\r\n',
  ].join('\r\n')
  const answer = await exchangeRaw(bench, raw)
  assert.match(answer, /\r\n0\r\nX-Sum: 42\r\n\r\n$/)
})

test('100-continue is answered by the proxy once an instance takes the body', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => {
    void text(request).then((body) => response.end(`${request.headers.expect} ${body}`))
  })
  const socket = bench.connect()
  socket.write(
    'POST / HTTP/1.1\r\nHost: hello.localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n',
  )
  const [first] = await once(socket, 'data')
  assert.match(String(first), /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
  socket.write('body')
  assert.match(await text(socket), /undefined body/)
  const other = await ask(bench, '/', { headers: 'Expect: tea\r\n' })
  assert.equal(other.status, 417)
})

test('early hints reach the client before the answer', async () => {
  await using bench = await openBench()
  await serve(bench, (_request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' })
    response.end('ok')
  })
  const raw = 'GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n'
  const answer = await exchangeRaw(bench, raw)
  assert.match(
    answer,
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200/i,
  )
})

test('a body larger than the task takes is refused, with and without its length', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => request.resume().on('end', () => response.end()), {
    bodyBytes: 10,
  })
  assert.equal((await ask(bench, '/', { method: 'POST', body: 'x'.repeat(10) })).status, 200)
  const stated = await ask(bench, '/', { method: 'POST', body: 'x'.repeat(11) })
  assert.equal(stated.status, 413)
  assert.equal(JSON.parse(stated.text).reason, 'BODY_TOO_LARGE')
  const raw = 'POST / HTTP/1.1\r\nHost: hello.localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
  const chunked = parseAnswer(await exchangeRaw(bench, `${raw}c\r\n123456789012\r\n0\r\n\r\n`))
  assert.equal(chunked.status, 413)
  assert.equal(chunked.headers.get('connection'), 'close')
})

test('an instance that does not answer in time is 504, and a silent body is cut', async () => {
  await using bench = await openBench()
  await serve(
    bench,
    (request, response) => {
      if (request.url === '/body') response.write('begin')
    },
    { requestTimeoutMs: 150 },
  )
  const late = await ask(bench, '/')
  assert.equal(late.status, 504)
  assert.equal(JSON.parse(late.text).reason, 'REQUEST_TIMEOUT')
  const cut = await ask(bench, '/body')
  assert.equal(cut.status, 200)
  assert.doesNotMatch(cut.text, /\r\n0\r\n/)
})

test('an event stream may be silent for longer than a request may take', async () => {
  await using bench = await openBench()
  const opened = Promise.withResolvers<ServerResponse>()
  await serve(
    bench,
    (request, response) => {
      if (request.url === '/never') return
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write('data: 1\n\n')
      opened.resolve(response)
    },
    { requestTimeoutMs: 100 },
  )
  const asked = httpRequest({ port: bench.port, headers: { host: 'hello.localhost' } }).end()
  const [response] = await once(asked, 'response')
  await once(response, 'data')
  // Others run into the limit meanwhile.
  for (let round = 0; round < 3; round++) assert.equal((await ask(bench, '/never')).status, 504)
  const events = await opened.promise
  events.end('data: 2\n\n')
  assert.match(await text(response), /data: 2/)
})

test('an instance that dies is 502 with a reason, before an answer and in the middle', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => {
    if (request.url === '/middle') {
      response.writeHead(200, { 'Content-Length': '100' })
      response.write('part', () => request.socket.destroy())
      return
    }
    request.socket.destroy()
  })
  const before = await ask(bench, '/')
  assert.equal(before.status, 502)
  assert.equal(JSON.parse(before.text).reason, 'INSTANCE_DIED')
  assert.equal(before.headers.get('retry-after'), '1')
  const middle = await ask(bench, '/middle')
  assert.equal(middle.status, 200)
  assert.equal(middle.text, 'part')
  assert.ok(bench.control.of('suspect').length >= 2)
})

test('the 502 says what control knows of the end', async () => {
  await using bench = await openBench()
  await serve(bench, (request) => request.socket.destroy())
  bench.control.onMessage = ({ type }) => {
    if (type !== 'suspect') return
    const message = 'it used more memory than limits.memory allows'
    const error = { code: 'resource_exhausted', reason: 'OUT_OF_MEMORY', message } as const
    bench.control.send({ type: 'exited', instance: 'i1', error })
  }
  const answer = await ask(bench, '/')
  assert.equal(answer.status, 502)
  assert.equal(JSON.parse(answer.text).reason, 'OUT_OF_MEMORY')
})

test('answers that are not HTTP are 502 and never reach the client', async () => {
  const cases = [
    'hello\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: x\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(70_000)}\r\n\r\n`,
  ]
  for (const bytes of cases) {
    await using bench = await openBench()
    await serveRaw(bench, bytes)
    const answer = await ask(bench, '/')
    assert.equal(answer.status, 502, bytes.slice(0, 80))
    assert.equal(JSON.parse(answer.text).reason, 'RESPONSE_INVALID', bytes.slice(0, 80))
  }
})

test('a HEAD may announce trailers', async () => {
  await using bench = await openBench()
  await serveRaw(bench, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n')
  assert.equal((await ask(bench, '/', { method: 'HEAD' })).status, 200)
})

test('bytes beyond an answer do not become the answer to the next request', async () => {
  await using bench = await openBench()
  const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
  await serveRaw(bench, `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood${poison}`)
  assert.equal((await ask(bench, '/')).text, 'good')
  assert.equal((await ask(bench, '/')).text, 'good')
})

test('an idle connection that ended meanwhile costs nobody a request', async () => {
  await using bench = await openBench()
  let requests = 0
  const server = createTcpServer((socket) => {
    let served = 0
    socket.on('error', () => socket.destroy())
    socket.on('data', () => {
      // The second request of a connection is met by a close.
      served += 1
      if (served > 1) socket.destroy()
      else requests += 1
      if (served === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  const instance = await bench.serve('i1', server)
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  for (let round = 0; round < 5; round++) assert.equal((await ask(bench, '/')).status, 200)
  assert.equal(requests, 5)
})

test('two requests on one connection are answered in order', async () => {
  await using bench = await openBench()
  await serve(bench, (request, response) => {
    if (request.url === '/slow') setImmediate(() => setImmediate(() => response.end('slow')))
    else response.end('fast')
  })
  const one = 'GET /slow HTTP/1.1\r\nHost: hello.localhost\r\n\r\n'
  const two = 'GET /fast HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n'
  assert.match(await exchangeRaw(bench, one + two), /slow[^]*fast$/)
})

test('a client that leaves ends the request of the instance', async () => {
  await using bench = await openBench()
  const gone = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  await serve(bench, (request, response) => {
    response.write('endless')
    request.socket.once('close', () => gone.resolve())
    begun.resolve()
  })
  const asked = httpRequest({ port: bench.port, headers: { host: 'hello.localhost' } }).end()
  const [response] = await once(asked, 'response')
  await begun.promise
  response.on('error', () => {})
  asked.destroy()
  await gone.promise
  const { instances } = await bench.control.seen('activity', (message) =>
    message.instances.some(({ instance, inFlight }) => instance === 'i1' && inFlight === 0),
  )
  assert.equal(instances[0]?.requests, 1)
})

test('the health of the proxy is answered on any host and wakes nothing', async () => {
  await using bench = await openBench()
  await bench.control.publish(buildTask({ routes: ['hello.localhost'] }))
  const answer = await ask(bench, '/.well-known/quiver/health')
  assert.equal(answer.status, 200)
  assert.equal(JSON.parse(answer.text).status, 'ok')
  assert.deepEqual(bench.control.of('wake'), [])
})
