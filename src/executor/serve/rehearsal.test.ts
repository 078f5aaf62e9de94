import assert from 'node:assert/strict'
import { test } from 'node:test'

import { rehearse } from './rehearsal.ts'

test('a rehearsal goes all the way through a guest, as often as asked', async () => {
  assert.deepEqual(await Promise.all([rehearse(), rehearse()]), [true, true])
  assert.equal(await rehearse(), true)
})
