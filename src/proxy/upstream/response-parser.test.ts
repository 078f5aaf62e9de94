import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { QuiverError } from '../../core/error.ts'

import { ResponseParser } from './response-parser.ts'

const NOT_HEAD = { isHead: false, isUpgrade: false }

/** What a parser reports of the bytes, given in pieces; a last `error …` when it refuses them. */
function parse(pieces: readonly Buffer[], request = NOT_HEAD): readonly string[] {
  const heard: string[] = []
  let body = ''
  const parser = new ResponseParser({
    onInformation: ({ status }) => heard.push(`information ${status}`),
    onHead: ({ status, rawHeaders }) => heard.push(`head ${status} ${rawHeaders.join('|')}`),
    onData: (chunk) => (body += chunk.toString('latin1')),
    onEnd: (trailers) => heard.push(`end ${body} ${trailers.join('|')}`),
    onUpgrade: (_head, rest) => heard.push(`upgrade ${rest.toString()}`),
  })
  parser.begin(request)
  try {
    for (const piece of pieces) if (piece.length > 0) parser.execute(piece)
    if (!parser.isIdle && !parser.finish()) heard.push(`cut ${body}`)
  } catch (thrown) {
    // Where in the bytes it refuses them may depend on the pieces; that it does, may not.
    assert.equal(QuiverError.from(thrown).reason, 'RESPONSE_INVALID')
    return ['error']
  }
  return heard
}

const RESPONSES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n \r\n0\r\nSum: 1\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n',
  'HTTP/1.0 200\r\n\r\nto the end',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort',
  'HTTP/1.1 200 OK\r\nEmpty:\r\nSpaces:  a b \t\r\nContent-Length: 0\r\n\r\n',
]

suite('a response', () => {
  test('is understood', () => {
    assert.deepEqual(
      RESPONSES.map((text) => parse([Buffer.from(text)])),
      [
        ['head 200 Content-Length|5|A|b', 'end hello '],
        ['head 200 Transfer-Encoding|chunked', 'end hello  Sum|1'],
        ['head 200 transfer-encoding|Chunked', 'end  '],
        ['information 103', 'head 204 ', 'end  '],
        ['head 200 ', 'end to the end '],
        ['head 304 Content-Length|7', 'end  '],
        ['head 200 Content-Length|10', 'cut short'],
        ['head 200 Empty||Spaces|a b|Content-Length|0', 'end  '],
      ],
    )
  })

  test('means the same in whatever pieces it comes', () => {
    for (const text of RESPONSES) {
      const bytes = Buffer.from(text)
      const whole = parse([bytes])
      const single = Array.from(bytes, (byte) => Buffer.from([byte]))
      assert.deepEqual(parse(single), whole, text)
      for (let at = 1; at < bytes.length; at++) {
        assert.deepEqual(parse([bytes.subarray(0, at), bytes.subarray(at)]), whole, text)
      }
    }
  })

  test('with one byte changed is refused or understood, the same in whatever pieces', () => {
    let state = 20_261_121
    // xorshift32: the same bytes in every run.
    const random = (below: number): number => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(RESPONSES[random(RESPONSES.length)] ?? '')
      bytes[random(bytes.length)] = random(256)
      const at = random(bytes.length)
      const whole = parse([bytes])
      const halves = parse([bytes.subarray(0, at), bytes.subarray(at)])
      assert.deepEqual(halves, whole, JSON.stringify(bytes.toString('latin1')))
    }
  })
})
