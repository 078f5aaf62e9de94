import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { isHost, RouteTable } from './table.ts'

function build(owners: Readonly<Record<string, readonly string[]>>): RouteTable<string> {
  const table = new RouteTable<string>()
  for (const [owner, routes] of Object.entries(owners)) table.set(owner, routes)
  return table
}

const TABLE = build({
  site: ['example.com'],
  api: ['GET example.com/api/:id', 'example.com/api/list', 'POST example.com/api/:id/notes'],
  files: ['example.com/files/*rest'],
  below: ['*.example.com'],
  deep: ['*.a.example.com/x'],
  local: ['[::1]'],
  slash: ['encoded.com/a%2Fb', 'encoded.com/:one/b'],
  head: ['HEAD head.com/x', 'GET head.com/y'],
})

const CASES: readonly (readonly [method: string, host: string, path: string, owner: string])[] = [
  ['GET', 'example.com', '/', 'site'],
  ['GET', 'EXAMPLE.com.:8080', '/any/thing', 'site'],
  ['GET', 'example.com', '/api/7', 'api'],
  ['HEAD', 'example.com', '/api/7', 'api'],
  ['GET', 'example.com', '/api/7/', 'api'],
  // A method that the more specific route does not take leaves the request to the next one.
  ['POST', 'example.com', '/api/7', 'site'],
  ['DELETE', 'example.com', '/api/list', 'api'],
  ['GET', 'example.com', '/api/7/notes', 'site'],
  ['POST', 'example.com', '/api/7/notes', 'api'],
  ['GET', 'example.com', '/files', 'files'],
  ['GET', 'example.com', '/files/a/b', 'files'],
  ['GET', 'b.example.com', '/', 'below'],
  ['GET', 'c.b.example.com', '/', 'below'],
  ['GET', 'b.a.example.com', '/x', 'deep'],
  ['GET', 'b.a.example.com', '/y', 'below'],
  ['GET', '[::1]:8080', '/', 'local'],
  ['GET', 'encoded.com', '/a%2fb', 'slash'],
  ['GET', 'encoded.com', '/%61/b', 'slash'],
  ['HEAD', 'head.com', '/y', 'head'],
]

for (const [method, host, path, owner] of CASES) {
  test(`${method} ${host}${path} belongs to ${owner}`, () => {
    const match = TABLE.match(method, host, path)
    assert.equal(match.kind === 'found' ? match.value : match.kind, owner)
  })
}

suite('a route table', () => {
  test('gives the parameters of a route', () => {
    const match = build({ a: ['a.com/:one/x/*rest'] }).match('GET', 'a.com', '/1%20/x/2/3')
    assert.deepEqual(match, { kind: 'found', value: 'a', params: { one: '1 ', rest: '2/3' } })
  })

  test('says what is unknown: host, path or method', () => {
    const table = build({ a: ['POST a.com/x'] })
    assert.equal(table.match('GET', 'b.com', '/x').kind, 'path')
    assert.equal(table.match('GET', 'a.com', '/y').kind, 'path')
    const match = table.match('GET', 'a.com', '/x')
    assert.deepEqual(match.kind === 'method' ? [...match.allowed] : [], ['POST'])
    assert.equal(table.match('GET', 'a.com', '/y/../x').kind, 'ambiguous')
  })

  test('forgets the routes of an owner, and what it remembered of hosts', () => {
    const table = build({ a: ['a.com'], b: ['*.com'] })
    assert.equal(table.match('GET', 'a.com', '/').kind, 'found')
    table.delete('a')
    const match = table.match('GET', 'a.com', '/')
    assert.equal(match.kind === 'found' && match.value, 'b')
    table.set('b', ['b.com'])
    assert.notEqual(table.match('GET', 'a.com', '/').kind, 'found')
  })

  test('knows what may stand in a Host header', () => {
    for (const good of ['a', 'a.b:80', '127.0.0.1', '[::1]:80', 'a_b']) assert.ok(isHost(good))
    for (const bad of ['', 'a b', 'a/b', 'a@b', 'a:b', 'a?b', '::1', '[::1', 'ä']) {
      assert.equal(isHost(bad), false, bad)
    }
  })
})
