import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { suite, test } from 'node:test'

import { Connection, type AnswerGuard, type OnExchange } from './connection.ts'
import type { Exchange } from './exchange.ts'

/** Nobody else answers. */
const ALONE: AnswerGuard = { open: () => undefined, take: () => true }

/** A server of one connection, and the client's end of it. */
async function open(onExchange: OnExchange) {
  const connections: Connection[] = []
  const server = createServer((socket) =>
    connections.push(new Connection(socket, onExchange, ALONE)),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // oxlint-disable-line typescript/no-unsafe-type-assertion -- of a TCP server
  const client = connect(port, '127.0.0.1')
  await once(client, 'connect')
  return {
    client,
    connections,
    [Symbol.asyncDispose]: async () => {
      client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** What comes until it matches. */
async function read(client: Socket, until: RegExp): Promise<string> {
  let text = ''
  for await (const chunk of client.iterator({ destroyOnReturn: false })) {
    text += String(chunk)
    if (until.test(text)) break
  }
  return text
}

function echo(exchange: Exchange): void {
  void Promise.resolve(exchange.body.readAll(1 << 20)).then((body) =>
    exchange.respond(200, ['X-Method', exchange.head.method], body),
  )
}

const HEAD = 'Host: a.localhost\r\n'

suite('a connection', () => {
  test('answers requests one after the other, with bodies of both kinds', async () => {
    await using opened = await open(echo)
    const { client } = opened
    client.write(`GET /a?b HTTP/1.1\r\n${HEAD}\r\n`)
    assert.match(
      await read(client, /\r\n\r\n/),
      /^HTTP\/1\.1 200 OK\r\nX-Method: GET\r\nContent-Length: 0\r\n\r\n$/,
    )
    client.write(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nhel`)
    client.write('lo')
    assert.match(await read(client, /hello/), /Content-Length: 5\r\n\r\nhello$/)
    client.write(`POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n`)
    client.write('2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n')
    assert.match(await read(client, /hello/), /Content-Length: 5\r\n\r\nhello$/)
  })

  test('sends an answer whose length is not known in chunks, and none of a HEAD', async () => {
    await using opened = await open((exchange) => {
      exchange.begin(404, ['Content-Type', 'text/plain'])
      void exchange.write(Buffer.from('one'))
      void exchange.write(Buffer.from('two'))
      exchange.end()
    })
    const { client } = opened
    client.write(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    const chunked = '3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n'
    const answer = await read(client, /0\r\n\r\n$/)
    assert.ok(answer.startsWith('HTTP/1.1 404 ') && answer.endsWith(`\r\n\r\n${chunked}`), answer)
    client.write(`HEAD / HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`)
    assert.match(await read(client, /never/), /^HTTP\/1\.1 404 [^]*text\/plain\r\n\r\n$/)
  })

  test('breaks off an answer that cannot go on', async () => {
    await using opened = await open((exchange) => {
      exchange.begin(200, [])
      void exchange.write(Buffer.from('half'))
      exchange.break()
    })
    const { client } = opened
    client.resume()
    client.write(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    await once(client, 'close')
  })

  test('holds back what the guest does not read, and ends behind an unread body', async () => {
    const began = Promise.withResolvers<Exchange>()
    await using opened = await open(began.resolve)
    const { client } = opened
    client.write(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 100000000\r\n\r\n`)
    const exchange = await began.promise
    const block = Buffer.alloc(1 << 16)
    let sent = 0
    // What the kernel and our queue hold is bounded: some day a write waits for the guest.
    while (client.write(block) || client.writableLength < 1 << 22) {
      sent += block.length
      assert.ok(sent < 50_000_000, 'it takes everything')
      await new Promise(setImmediate)
    }
    exchange.respond(200, [], Buffer.from('enough'))
    let answer = ''
    client.on('data', (chunk) => (answer += String(chunk)))
    await once(client, 'end')
    assert.match(answer, /enough$/)
  })

  test('tells the guest that the client went away', async () => {
    const began = Promise.withResolvers<Exchange>()
    await using opened = await open(began.resolve)
    opened.client.write(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nhe`)
    const exchange = await began.promise
    const first = await exchange.body.read(10)
    assert.equal(String(first), 'he')
    const rest = Promise.resolve(exchange.body.read(10))
    opened.client.destroy()
    await assert.rejects(rest, /went away/)
    assert.ok(exchange.gone.aborted)
  })

  for (const [what, head] of [
    ['no request line', 'hello\r\n'],
    ['two lengths', `POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n`],
    ['a length that is no number', 'POST / HTTP/1.1\r\nContent-Length: 1x\r\n'],
    ['a head without end', `GET / HTTP/1.1\r\nA: ${'b'.repeat(70_000)}`],
  ] as const) {
    test(`ends on ${what}`, async () => {
      await using opened = await open(() => assert.fail('it was taken for a request'))
      opened.client.on('error', () => {})
      opened.client.write(`${head}\r\n`)
      await once(opened.client, 'close')
    })
  }

  test('closes at once when idle, else behind its answer', async () => {
    const began = Promise.withResolvers<Exchange>()
    await using busy = await open(began.resolve)
    busy.client.write(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    const exchange = await began.promise
    busy.connections[0]?.close()
    exchange.respond(200, [], Buffer.from('last'))
    assert.match(await read(busy.client, /never/), /last$/)

    await using idle = await open(echo)
    idle.client.write(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
    await read(idle.client, /\r\n\r\n/)
    idle.connections[0]?.close()
    assert.equal(await read(idle.client, /never/), '')
  })
})
