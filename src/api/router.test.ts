import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { ENDPOINTS } from './endpoints.ts'
import type { Endpoint, EndpointId } from './endpoints.ts'
import { Router } from './router.ts'

const ids = Object.keys(ENDPOINTS).filter((id): id is EndpointId => id in ENDPOINTS)
const router = new Router(ids)

suite('a call is found by its method and path', () => {
  for (const id of ids) {
    const { method, path }: Endpoint = ENDPOINTS[id]
    test(`${method} ${path}`, () => {
      const matched = router.match(method, path.replaceAll(/:(\w+)/g, 'of-$1'))
      assert.equal(matched?.id, id)
      for (const [name, value] of Object.entries(matched.params)) assert.equal(value, `of-${name}`)
    })
  }

  test('HEAD is answered as GET is', () => {
    assert.equal(router.match('HEAD', '/v1/tasks')?.id, 'listTasks')
  })

  for (const [method, target] of [
    ['PATCH', '/v1/tasks'],
    ['GET', '/v1/tasks/'],
    ['GET', '/v1/tasks/a/b'],
    ['GET', '/v1/../v1/tasks'],
    ['GET', 'http://node/v1/tasks'],
    ['GET', '*'],
    ['GET', ''],
  ] as const) {
    test(`${method} "${target}" is none`, () => {
      assert.equal(router.match(method, target), undefined)
    })
  }
})

test('parameters and the query are decoded', () => {
  const matched = router.match('GET', '/v1/logs/a%2Fb%20c?grep=x%26y+z&tail=1&tail=2')
  assert.deepEqual(matched?.params, { target: 'a/b c' })
  assert.deepEqual(matched.query, { grep: 'x&y z', tail: '1' })
  assert.deepEqual(router.match('GET', '/v1/tasks/%zz')?.params, { name: '%zz' })
})
