import assert from 'node:assert/strict'
import { test } from 'node:test'

import { RequestHead } from '../http/request-head.ts'

import { buildCgiEnv } from './cgi.ts'

test('the environment says what RFC 3875 wants', () => {
  const head = new RequestHead(
    [
      'POST /a%20b/c?d=e%20f HTTP/1.1',
      'Host: up.localhost:8080',
      'X-Forwarded-For: 192.0.2.1, 10.0.0.1',
      'X-Forwarded-Proto: https',
      'Content-Type: text/plain',
      'Content-Length: 3',
      'X-Thing: one',
      'X-Thing: two',
    ].join('\r\n'),
  )
  const env = buildCgiEnv(head, { LEVEL: 'info' })
  const expected = {
    LEVEL: 'info',
    REQUEST_METHOD: 'POST',
    PATH_INFO: '/a b/c',
    QUERY_STRING: 'd=e%20f',
    SERVER_NAME: 'up.localhost',
    SERVER_PORT: '8080',
    REMOTE_ADDR: '192.0.2.1',
    HTTPS: 'on',
    CONTENT_TYPE: 'text/plain',
    CONTENT_LENGTH: '3',
    HTTP_X_THING: 'one, two',
    HTTP_HOST: 'up.localhost:8080',
  }
  assert.deepEqual(
    Object.fromEntries(Object.keys(expected).map((name) => [name, env[name]])),
    expected,
  )
})

test('a client sets nothing but what headers are called', () => {
  const head = new RequestHead(
    ['GET /%00 HTTP/1.1', 'Host: a', 'Proxy: evil', 'Bad_Name: x'].join('\r\n'),
  )
  const env = buildCgiEnv(head, {})
  // What would be taken for a proxy of outgoing requests.
  assert.equal(env['HTTP_PROXY'], undefined)
  assert.equal(env['HTTP_BAD_NAME'], undefined)
  assert.equal(env['PATH_INFO'], '/%00')
})
