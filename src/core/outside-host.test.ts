import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { isCovered, listNamedHosts } from './outside-host.ts'

suite('isCovered()', () => {
  const cases: readonly [name: string, wildcard: string, isIt: boolean][] = [
    ['a.example.com', '*.example.com', true],
    ['b.a.example.com', '*.example.com', true],
    ['example.com', '*.example.com', false],
    ['.example.com', '*.example.com', false],
    ['aexample.com', '*.example.com', false],
    ['a.example.com.org', '*.example.com', false],
    ['a.example.com', 'a.example.com', false],
    ['*.a.example.com', '*.example.com', false],
    ['10.0.0.1', '*.0.0.1', false],
    ['::1', '*.1', false],
  ]
  for (const [name, wildcard, isIt] of cases) {
    test(`${wildcard} ${isIt ? 'covers' : 'does not cover'} ${name}`, () => {
      assert.equal(isCovered(name, wildcard), isIt)
    })
  }
})

test('a name has its own ports and those of its wildcards, each once', () => {
  const rules = [
    { host: 'api.example.com', port: 443 },
    { host: '*.example.com', port: 443 },
    { host: '*.example.com', port: 80 },
    { host: '*.example.org', port: 81 },
    { host: '10.0.0.1', port: 5432 },
  ]
  assert.deepEqual(listNamedHosts(rules), [
    { host: 'api.example.com', port: 443 },
    { host: 'api.example.com', port: 80 },
    { host: '10.0.0.1', port: 5432 },
  ])
})
