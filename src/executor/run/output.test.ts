import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { Exchange } from '../http/exchange.ts'
import { RequestBody } from '../http/request-body.ts'
import { RequestHead } from '../http/request-head.ts'

import { CommandOutput } from './output.ts'

/** What the client gets for what a command writes, piece by piece. */
function answerTo(pieces: readonly string[], mode: 'cgi' | 'body' = 'cgi', bytesMax = 1e6): string {
  let sent = ''
  const head = new RequestHead('GET / HTTP/1.1\r\nHost: a')
  const body = new RequestBody({ pause: () => {}, resume: () => {} }, 0)
  const exchange = new Exchange(head, body, {
    write: (bytes) => {
      sent += Buffer.from(bytes).toString('latin1')
      return true
    },
    drained: async () => {},
    finish: () => {},
  })
  const output = new CommandOutput(exchange, mode, bytesMax)
  for (const piece of pieces) void output.write(Buffer.from(piece))
  output.finish()
  return sent
}

suite('an answer of a command', () => {
  const TYPE = 'Content-Type: text/plain'
  const cases: readonly (readonly [what: string, pieces: readonly string[], expected: RegExp])[] = [
    [
      'with a type',
      [`${TYPE}\n\nhi`],
      /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain\r\nContent-Length: 2\r\n\r\nhi$/,
    ],
    ['with CRLF', [`${TYPE}\r\nX-A: b\r\n\r\nhi`], /X-A: b\r\nContent-Length: 2\r\n\r\nhi$/],
    ['in pieces', ['Content-Ty', 'pe: text/plain\n', '\n', 'h', 'i'], /\r\n\r\nhi$/],
    [
      'with a status',
      [`Status: 404 Not Found\n\n`],
      /^HTTP\/1\.1 404 \r\nContent-Length: 0\r\n\r\n$/,
    ],
    ['that redirects', ['Location: /other\n\n'], /^HTTP\/1\.1 302 \r\nLocation: \/other\r\n/],
    ['whose length it said', [`${TYPE}\nContent-Length: 99\n\nhi`], /Content-Length: 2\r\n\r\nhi$/],
    [
      'with several of a header',
      [`${TYPE}\nSet-Cookie: a\nSet-Cookie: b\n\n`],
      /Set-Cookie: a\r\nSet-Cookie: b\r\n/,
    ],
  ]
  for (const [what, pieces, expected] of cases) {
    test(what, () => assert.match(answerTo(pieces), expected))
  }

  test('that is long leaves in chunks', () => {
    const sent = answerTo([`${TYPE}\n\n`, 'x'.repeat(40_000), 'end'])
    assert.match(sent, /Transfer-Encoding: chunked\r\n\r\n9c40\r\nx+\r\n3\r\nend\r\n0\r\n\r\n$/)
  })

  test('that is only a body', () => {
    const sent = answerTo(['Status: 500\n\n'], 'body')
    assert.match(sent, /^HTTP\/1\.1 200 OK\r\nContent-Type: text\/plain; charset=utf-8\r\n/)
    assert.match(sent, /\r\n\r\nStatus: 500\n\n$/)
  })
})

suite('is no answer', () => {
  const cases: readonly (readonly [what: string, written: string, message: RegExp])[] = [
    ['nothing', '', /it wrote no headers/],
    ['a text', 'hello\n', /it wrote no headers/],
    ['a line that is no header', 'hello\n\n', /"hello" is not a header/],
    ['headers without any that says what follows', 'X-A: b\n\n', /none of its headers/],
    ['a bad status', 'Status: ok\n\n', /"ok" is not a status/],
    ['a status that ends no answer', 'Status: 101\n\n', /"101" is not a status/],
    ['a header with a control character', 'Content-Type: a\u0001b\n\n', /is not a header/],
    ['a header with a bare carriage return', 'Content-Type: a\rX: b\n\n', /is not a header/],
  ]
  for (const [what, written, message] of cases) {
    test(what, () => {
      assert.throws(() => answerTo([written]), { reason: 'RESPONSE_INVALID', message })
    })
  }

  test('one that is too long', () => {
    assert.throws(() => answerTo(['Content-Type: a\n\n', 'x'.repeat(100)], 'cgi', 50), {
      reason: 'OUTPUT_TOO_LARGE',
    })
  })
})
