import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer as createHttpServer,
  request as httpRequest,
  type ServerResponse,
} from 'node:http'
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { Readable, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'

import { ask, buildTask, openBench, parseAnswer, portOf, type Bench } from './harness.ts'

const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: hello.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

/** Switches protocols and echoes bytes. */
function createEcho(): Server {
  const server = createHttpServer((_request, response) => {
    response.writeHead(426, { 'Content-Type': 'text/plain' })
    response.end('upgrade required')
  })
  server.on('upgrade', (request, socket: Duplex) => {
    if (request.url === '/refused') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      return
    }
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash('sha1').update(key).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  return server
}

async function serve(bench: Bench, server: Server, limits: object = {}): Promise<void> {
  const instance = await bench.serve('i1', server)
  await bench.control.publish(
    buildTask({
      publish: [],
      revisions: [{ ...limits, instances: [instance] }],
    }),
  )
}

async function readUntil(socket: Socket, end: string): Promise<string> {
  let received = ''
  while (!received.includes(end)) {
    const [chunk] = await once(socket, 'data')
    received += String(chunk)
  }
  return received
}

test('a WebSocket is carried both ways and counts as in flight until it ends', async () => {
  await using bench = await openBench()
  await serve(bench, createEcho(), { requestTimeoutMs: 100 })
  const socket = bench.connect()
  socket.write(UPGRADE)
  const head = await readUntil(socket, '\r\n\r\n')
  assert.match(head, /^HTTP\/1\.1 101 /)
  assert.match(head, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/)
  assert.match(head, /Upgrade: websocket/)
  socket.write('ping')
  assert.equal(await readUntil(socket, 'ping'), 'ping')
  await bench.control.seen('activity', ({ instances }) => instances[0]?.inFlight === 1)
  bench.control.send({ type: 'drain', instance: 'i1', mode: 'idle' })
  await bench.control.seen('busy')
  socket.end()
  await once(socket, 'close')
  await bench.control.seen('activity', ({ instances }) => instances[0]?.inFlight === 0)
})

test('a WebSocket wakes its task', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', createEcho())
  await bench.control.publish(buildTask())
  const socket = bench.connect()
  socket.write(UPGRADE)
  await bench.control.seen('wake')
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  assert.match(await readUntil(socket, '\r\n\r\n'), /^HTTP\/1\.1 101 [^]*desc=cold/)
  socket.destroy()
})

test('a client that asks for a WebSocket and leaves the queue is forgotten', async () => {
  await using bench = await openBench()
  await bench.control.publish(buildTask())
  const socket = bench.connect()
  socket.write(UPGRADE)
  await bench.control.seen('wake')
  socket.end()
  await once(socket, 'close')
  const health = await ask(bench, '/.well-known/quiver/health')
  assert.equal(JSON.parse(health.text).waiting, 0)
})

test('an upgrade that the instance refuses is answered as it says', async () => {
  await using bench = await openBench()
  await serve(bench, createEcho())
  const socket = bench.connect()
  socket.write(UPGRADE.replace('/chat', '/refused'))
  const answer = parseAnswer(await text(socket))
  assert.equal(answer.status, 403)
  assert.equal(answer.text, 'no')
})

test('an upgrade to HTTP/2 in the clear is not passed on', async () => {
  await using bench = await openBench()
  await serve(bench, createEcho())
  const headers =
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'
  const socket = bench.connect()
  socket.write(`GET / HTTP/1.0\r\nHost: hello.localhost\r\n${headers}\r\n`)
  assert.equal(parseAnswer(await text(socket)).status, 426)
})

test('an instance that dies ends the WebSocket', async () => {
  await using bench = await openBench()
  const server = createEcho()
  const sockets: Duplex[] = []
  server.on('connection', (socket: Duplex) => sockets.push(socket))
  await serve(bench, server)
  const socket = bench.connect()
  socket.on('error', () => {})
  socket.write(UPGRADE)
  await readUntil(socket, '\r\n\r\n')
  for (const upstream of sockets) upstream.destroy()
  await once(socket, 'close')
})

test('events arrive one by one, as they are sent', async () => {
  await using bench = await openBench()
  const opened = Promise.withResolvers<ServerResponse>()
  await serve(
    bench,
    createHttpServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      opened.resolve(response)
    }),
  )
  const asked = httpRequest({ port: bench.port, headers: { host: 'hello.localhost' } }).end()
  const [response] = await once(asked, 'response')
  const events = await opened.promise
  for (const line of ['data: 1\n\n', 'data: 2\n\n']) {
    events.write(line)
    const [chunk] = await once(response, 'data')
    assert.equal(String(chunk), line)
  }
  asked.destroy()
})

test('the head of an answer does not wait for its body', async () => {
  await using bench = await openBench()
  const opened = Promise.withResolvers<ServerResponse>()
  await serve(
    bench,
    createHttpServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': '2' })
      response.flushHeaders()
      opened.resolve(response)
    }),
  )
  const asked = httpRequest({ port: bench.port, headers: { host: 'hello.localhost' } }).end()
  const [response] = await once(asked, 'response')
  const answer = await opened.promise
  answer.end('ok')
  assert.equal(await text(response), 'ok')
})

test('a request streams while its answer streams', async () => {
  await using bench = await openBench()
  await serve(
    bench,
    createHttpServer((request, response) => {
      response.flushHeaders()
      request.pipe(response)
    }),
  )
  const headers = { host: 'hello.localhost' }
  const asked = httpRequest({ port: bench.port, method: 'POST', headers })
  asked.flushHeaders()
  const [response] = await once(asked, 'response')
  for (const piece of ['one', 'two']) {
    asked.write(piece)
    const [chunk] = await once(response, 'data')
    assert.equal(String(chunk), piece)
  }
  asked.end()
  response.resume()
  await once(response, 'end')
})

const MIB = 1024 ** 2

/** Bytes without end, made as they are read. */
function zeros(bytes: number): Readable {
  const chunk = Buffer.alloc(64 * 1024)
  let left = bytes
  return new Readable({
    read() {
      if (left <= 0) this.push(null)
      else this.push(chunk.subarray(0, Math.min(chunk.length, left)))
      left -= chunk.length
    },
  })
}

/** Growth of this process, where the proxy runs, while `work` runs. */
async function measureGrowth(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss
  let highest = before
  const timer = setInterval(() => (highest = Math.max(highest, process.memoryUsage().rss)), 20)
  await work()
  clearInterval(timer)
  return highest - before
}

test('a large upload to an instance that reads slowly does not pile up', async () => {
  await using bench = await openBench()
  let received = 0
  await serve(
    bench,
    createHttpServer((request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.length
        request.pause()
        setImmediate(() => request.resume())
      })
      request.on('end', () => response.end(String(received)))
    }),
  )
  const headers = { host: 'hello.localhost', 'content-length': 256 * MIB }
  const asked = httpRequest({ port: bench.port, method: 'POST', headers })
  const answered = once(asked, 'response')
  const growth = await measureGrowth(() => pipeline(zeros(256 * MIB), asked))
  const [response] = await answered
  assert.equal(await text(response), String(256 * MIB))
  assert.ok(growth < 150 * MIB, `${Math.round(growth / MIB)} MiB`)
})

test('a large answer to a client that reads nothing does not pile up', async () => {
  await using bench = await openBench()
  const upstream = Promise.withResolvers<Socket>()
  await serve(
    bench,
    createHttpServer((request, response) => {
      upstream.resolve(request.socket)
      zeros(1024 * MIB).pipe(response)
    }),
    { requestTimeoutMs: 500 },
  )
  const socket = bench.connect()
  socket.pause()
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: hello.localhost\r\n\r\n')
  // The instance is held back, and after the silence that the task allows the connection is cut.
  const growth = await measureGrowth(() =>
    bench.control.seen('activity', ({ instances }) => instances[0]?.inFlight === 0),
  )
  const { bytesWritten: sent } = await upstream.promise
  assert.ok(sent < 64 * MIB, `${Math.round(sent / MIB)} MiB were sent`)
  assert.ok(growth < 100 * MIB, `${Math.round(growth / MIB)} MiB`)
  socket.destroy()
})

/** Sends back what it got when the client has ended its half. */
function createReverse(): Server {
  return createTcpServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    let said = ''
    socket.on('data', (chunk: Buffer) => (said += String(chunk)))
    socket.on('end', () => socket.end(said.toUpperCase()))
  })
}

test('a published port wakes its task and keeps each half of a connection', async () => {
  await using bench = await openBench()
  const probe = createTcpServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const hostPort = portOf(probe)
  probe.close()
  await once(probe, 'close')
  const publish = [{ address: '127.0.0.1', hostPort, port: 6379 }]
  const instance = await bench.serve('i1', createReverse())
  const cold = buildTask({ routes: [], publish, revisions: [{ httpPort: null }] })
  await bench.control.publish(cold)
  const socket = connect({ port: hostPort, host: '127.0.0.1', allowHalfOpen: true })
  socket.end('hello')
  await bench.control.seen('wake')
  const revisions = [{ httpPort: null, instances: [instance] }]
  await bench.control.publish(buildTask({ routes: [], publish, revisions }))
  assert.equal(await text(socket), 'HELLO')
  await bench.control.seen('activity', ({ instances }) => instances[0]?.inFlight === 0)
  await bench.control.publish(buildTask({ routes: [], publish: [] }))
  const [error] = await once(connect(hostPort, '127.0.0.1'), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
})

test('a port that is taken is reported', async () => {
  await using bench = await openBench()
  const publish = [{ address: '127.0.0.1', hostPort: bench.port, port: 1 }]
  await bench.control.publish(buildTask({ publish }))
  const failed = await bench.control.seen('publishFailed')
  assert.match(failed.message, /EADDRINUSE/)
})

async function openTunnel(bench: Bench): Promise<() => Socket> {
  const socketPath = path.join(bench.folder, 'tunnel.sock')
  const server = bench.proxy.createTunnel().listen(socketPath)
  await once(server, 'listening')
  return () => connect({ path: socketPath, allowHalfOpen: true })
}

test('the tunnel leads to the task it names, whatever the Host says', async () => {
  await using bench = await openBench()
  const instance = await bench.serve(
    'i1',
    createHttpServer((request, response) => {
      response.end(`${request.headers.host} ${String(request.headers['x-quiver-from'])}`)
    }),
  )
  await bench.control.publish(buildTask({ routes: [], revisions: [{ instances: [instance] }] }))
  const open = await openTunnel(bench)
  const socket = open()
  socket.write('http hello web\nGET / HTTP/1.1\r\nHost: any')
  socket.write('thing\r\nConnection: close\r\nX-Quiver-From: liar\r\n\r\n')
  assert.equal(parseAnswer(await text(socket)).text, 'anything web')
})

test('the tunnel carries plain TCP, and closes where there is no task', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', createReverse())
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  const open = await openTunnel(bench)
  const socket = open()
  socket.end('tcp hello 6379\nhello')
  assert.equal(await text(socket), 'HELLO')
  const unknown = open()
  unknown.write('tcp nobody 1\n')
  assert.equal(await text(unknown), '')
  const missing = open()
  missing.write('http nobody web\n')
  assert.equal(JSON.parse(parseAnswer(await text(missing)).text).reason, 'TASK_NOT_FOUND')
  const wrong = open()
  wrong.write('gopher\n')
  assert.equal(await text(wrong), '')
})
