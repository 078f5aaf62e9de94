import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { buildTask, exchangeRaw, openBench, parseAnswer } from './harness.ts'

const HOST = 'Host: hello.localhost'

/** Each is answered once with the status, and the connection is closed; the instance sees nothing of it. */
const REFUSED: readonly (readonly [name: string, status: number, bytes: string])[] = [
  [
    'length and chunks',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n${HOST}\r\n\r\n`,
  ],
  [
    'chunks and length',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
  ],
  [
    'two lengths',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
  ],
  [
    'two equal lengths',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
  ],
  ['a list of lengths', 400, `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 3, 3\r\n\r\nabc`],
  ['a signed length', 400, `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: +3\r\n\r\nabc`],
  ['a negative length', 400, `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: -1\r\n\r\n`],
  [
    'a huge length',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 99999999999999999999999\r\n\r\n`,
  ],
  ['line feeds alone', 400, `GET / HTTP/1.1\n${HOST}\n\n`],
  ['one line feed alone', 400, `GET / HTTP/1.1\r\n${HOST}\nX: y\r\n\r\n`],
  ['a carriage return alone', 400, `GET / HTTP/1.1\r\n${HOST}\r\nX: a\rb\r\n\r\n`],
  ['a folded header', 400, `GET / HTTP/1.1\r\n${HOST}\r\nX: a\r\n b\r\n\r\n`],
  ['space before the colon', 400, `GET / HTTP/1.1\r\n${HOST}\r\nContent-Length : 3\r\n\r\nabc`],
  ['space before the first header', 400, `GET / HTTP/1.1\r\n X: y\r\n${HOST}\r\n\r\n`],
  ['a header without a name', 400, `GET / HTTP/1.1\r\n${HOST}\r\n: y\r\n\r\n`],
  ['a NUL', 400, `GET / HTTP/1.1\r\n${HOST}\r\nX: a\0b\r\n\r\n`],
  ['no host', 400, 'GET / HTTP/1.1\r\n\r\n'],
  ['two hosts', 400, `GET / HTTP/1.1\r\n${HOST}\r\nHost: other\r\n\r\n`],
  ['a host with a path', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost/x\r\n\r\n'],
  ['a host with a user', 400, 'GET / HTTP/1.1\r\nHost: a@hello.localhost\r\n\r\n'],
  ['an empty host', 400, 'GET / HTTP/1.1\r\nHost: \r\n\r\n'],
  [
    'an unknown encoding',
    501,
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'an encoding that ends otherwise',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
  ],
  [
    'an obscured encoding',
    501,
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'two encodings',
    400,
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
  ],
  [
    'chunks in HTTP/1.0',
    400,
    `POST / HTTP/1.0\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['HTTP/2', 400, `GET / HTTP/2.0\r\n${HOST}\r\n\r\n`],
  ['the preface of HTTP/2', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/0.9', 400, 'GET /\r\n\r\n'],
  ['an unknown method', 400, `BREW / HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ['a space in the target', 400, `GET /a b HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ['a target of another scheme', 400, `GET ftp://hello.localhost/ HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ['CONNECT', 405, `CONNECT hello.localhost:80 HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ['TLS', 400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a huge header', 431, `GET / HTTP/1.1\r\n${HOST}\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`],
  ['a huge target', 431, `GET /${'x'.repeat(40_000)} HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ['very many headers', 431, `GET / HTTP/1.1\r\n${HOST}\r\n${'A: b\r\n'.repeat(500)}\r\n`],
]

for (const [name, status, bytes] of REFUSED) {
  test(`refused with ${status}: ${name}`, async () => {
    await using bench = await openBench()
    const seen: string[] = []
    const instance = await bench.serve('i1', (request, response) => {
      seen.push(request.url ?? '')
      response.end()
    })
    await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
    const raw = await exchangeRaw(bench, Buffer.from(bytes, 'latin1'))
    const answer = parseAnswer(raw)
    assert.equal(answer.status, status, raw.slice(0, 200))
    assert.equal(raw.match(/HTTP\/1\.1 \d/g)?.length, 1, raw)
    assert.equal(JSON.parse(answer.text).component, 'proxy')
    assert.deepEqual(seen, [])
  })
}

const BROKEN_BODIES: readonly (readonly [name: string, body: string])[] = [
  ['a chunk size with a sign', '+3\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size with a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size with a space', '3 \r\nabc\r\n0\r\n\r\n'],
  ['a chunk longer than it says', '3\r\nabcd\r\n0\r\n\r\n'],
  ['a chunk that ends with a line feed alone', '3\r\nabc\n0\r\n\r\n'],
  ['a chunk size that overflows', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
]

for (const [name, body] of BROKEN_BODIES) {
  test(`a body that breaks off in ${name} is 400, and the instance never sees its end`, async () => {
    await using bench = await openBench()
    let hasEnded = false
    const instance = await bench.serve('i1', (request) => {
      request.on('error', () => {})
      request.resume().on('end', () => (hasEnded = true))
    })
    await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
    const head = `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`
    const answer = parseAnswer(await exchangeRaw(bench, head + body))
    assert.equal(answer.status, 400)
    assert.equal(hasEnded, false)
  })
}

test('what follows a request is its successor, never part of it', async () => {
  await using bench = await openBench()
  const seen: string[] = []
  const instance = await bench.serve('i1', (request, response) => {
    seen.push(request.url ?? '')
    request.resume().on('end', () => response.end('ok'))
  })
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  const first = `POST /1 HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
  const raw = await exchangeRaw(bench, `${first}garbage\r\n\r\n`)
  assert.doesNotMatch(raw, /HTTP[^]*HTTP[^]*HTTP/)
  assert.ok(seen.length <= 1)
})

test('a head that comes too slowly is 408', async () => {
  await using bench = await openBench({ limits: { headTimeoutMs: 200 } })
  const socket = bench.connect()
  socket.write('GET / HTTP/1.1\r\nHo')
  const [bytes] = await once(socket, 'data')
  assert.match(String(bytes), /^HTTP\/1\.1 408 [^]*REQUEST_STALLED/)
  await once(socket, 'close')
})

test('a body that stops coming is 408, while one that keeps coming may take its time', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', (request, response) => {
    request.on('error', () => {})
    request.resume().on('end', () => response.end('ok'))
  })
  await bench.control.publish(
    buildTask({ revisions: [{ requestTimeoutMs: 300, instances: [instance] }] }),
  )
  const head = `POST / HTTP/1.1\r\n${HOST}\r\nContent-Length: 10\r\n\r\n`
  assert.equal(parseAnswer(await exchangeRaw(bench, `${head}abc`)).status, 408)
  const socket = bench.connect()
  socket.write(head)
  const answered = once(socket, 'data')
  const timer = setInterval(() => socket.write('x'), 100)
  const [bytes] = await answered
  clearInterval(timer)
  assert.match(String(bytes), /^HTTP\/1\.1 200/)
  socket.destroy()
})
