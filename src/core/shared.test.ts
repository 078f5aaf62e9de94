import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SharedParts } from './shared.ts'

test('equal parts become one object, others stay what they are', () => {
  const parts = new SharedParts()
  const first = parts.share({ a: [1, null] })
  assert.equal(parts.share({ a: [1, null] }), first)
  assert.deepEqual(parts.share({ a: [1, 2] }), { a: [1, 2] })
  assert.deepEqual(parts.share([]), [])
  assert.deepEqual(parts.share({}), {})
})

test('it keeps no part for ever', () => {
  const parts = new SharedParts()
  const first = parts.share({ id: 0 })
  for (let id = 1; id <= 2000; id++) parts.share({ id })
  assert.notEqual(parts.share({ id: 0 }), first)
})
