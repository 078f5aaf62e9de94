import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { compareSpecificity, formatRoute, parseRoute, routesConflict, splitPath } from './route.ts'

suite('parseRoute()', () => {
  test('reads a method, a host and every kind of segment', () => {
    assert.deepEqual(parseRoute('GET Example.com/api/:id/*rest'), {
      method: 'GET',
      host: { kind: 'exact', name: 'example.com' },
      segments: [
        { kind: 'literal', text: 'api' },
        { kind: 'param', name: 'id' },
        { kind: 'rest', name: 'rest' },
      ],
    })
  })

  test('a host alone takes every path', () => {
    assert.deepEqual(parseRoute('photos.localhost').segments, [{ kind: 'rest', name: '' }])
    assert.deepEqual(parseRoute('photos.localhost/').segments, [])
  })

  const hosts: readonly [text: string, host: unknown][] = [
    ['*', { kind: 'any' }],
    ['*.example.com', { kind: 'below', suffix: 'example.com' }],
    ['127.0.0.1/x', { kind: 'exact', name: '127.0.0.1' }],
    ['[0:0::1]/x', { kind: 'exact', name: '[::1]' }],
    ['example.com.', { kind: 'exact', name: 'example.com' }],
  ]
  for (const [text, host] of hosts) {
    test(`reads the host of ${text}`, () => assert.deepEqual(parseRoute(text).host, host))
  }

  const invalid: readonly [text: string, problem: RegExp][] = [
    ['', /is not a route/],
    ['GET POST example.com', /is not a route/],
    ['GTE example.com', /no method "GTE"/],
    ['get example.com', /no method "get"/],
    ['CONNECT example.com', /no method "CONNECT"/],
    ['http://example.com', /has a scheme/],
    ['example.com:8080/x', /has a port/],
    ['/api', /has no host/],
    ['a.*.com', /star inside its host/],
    ['-a.com', /invalid host/],
    ['a_b.com', /invalid host/],
    ['bücher.example', /invalid host/],
    [`${'a'.repeat(64)}.com`, /invalid host/],
    ['[::g]/x', /invalid address/],
    ['example.com/a?b=c', /query/],
    ['example.com/a//b', /empty path segment/],
    ['example.com/../b', /invalid path segment "\.\."/],
    ['example.com/%2e%2e/b', /invalid path segment/],
    ['example.com/a*', /invalid path segment/],
    ['example.com/*rest/more', /goes on after its rest/],
    ['example.com/:id/:id', /names "id" twice/],
    ['example.com/:1', /invalid parameter/],
    ['example.com/*', /invalid parameter/],
    [`example.com/${'a'.repeat(1100)}`, /longer than/],
  ]
  for (const [text, message] of invalid) {
    test(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.throws(() => parseRoute(text), {
        code: 'invalid_argument',
        reason: 'ROUTE_INVALID',
        message,
      })
    })
  }

  test('says how an international host is written', () => {
    assert.throws(() => parseRoute('bücher.example'), {
      hint: 'Write it as "xn--bcher-kva.example".',
    })
  })
})

test('formatRoute() writes what parseRoute() reads as the same route', () => {
  const texts = ['GET a.b/c/:d/*e', '*', '*.a.b', 'a.b/', 'a.b/%2Ac/%3Ax/a%2Fb/%C3%BC', '[::1]/x']
  for (const text of texts) {
    const route = parseRoute(text)
    assert.deepEqual(parseRoute(formatRoute(route)), route)
  }
  assert.equal(formatRoute(parseRoute('GET  Example.com/api/')), 'GET example.com/api')
})

test('compareSpecificity() puts the most specific route first', () => {
  const ordered = [
    'GET example.com/api/users',
    'example.com/api/users',
    'GET example.com/api/:id',
    'example.com/api/:id',
    'example.com/api',
    'example.com/api/*rest',
    'example.com/:anything',
    'example.com/',
    'GET example.com',
    'example.com',
    '*.eu.example.com/x',
    '*.example.com/x',
    '*.example.com',
    '*/x',
    '*',
  ].map(parseRoute)
  const sorted = ordered.toReversed().toSorted(compareSpecificity)
  assert.deepEqual(sorted.map(formatRoute), ordered.map(formatRoute))
})

test('routesConflict() compares patterns, not the names of their parameters', () => {
  assert.ok(conflict('a.b/:id/x', 'A.B/:name/x/'))
  assert.ok(conflict('a.b', 'a.b/*rest'))
  assert.ok(conflict('a.b/%61', 'a.b/a'))
  assert.ok(!conflict('GET a.b', 'a.b'))
  assert.ok(!conflict('a.b/:id', 'a.b/id'))
  assert.ok(!conflict('a.b', '*.b'))
})

test('splitPath() decodes segments after it splits', () => {
  assert.deepEqual(splitPath('/'), [])
  assert.deepEqual(splitPath('/a/b/'), ['a', 'b'])
  assert.deepEqual(splitPath('/a%2Fb/%zz'), ['a/b', '%zz'])
})

function conflict(a: string, b: string): boolean {
  return routesConflict(parseRoute(a), parseRoute(b))
}
