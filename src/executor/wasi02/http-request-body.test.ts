import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Failure } from '../component/function-codec.ts'

import { HttpBroken } from './http-errors.ts'
import { RequestBody } from './http-request-body.ts'

const LARGE = new Uint8Array(300 * 1024)

test('a guest that writes faster than is sent waits', async () => {
  const body = new RequestBody([])
  assert.equal(body.write(Buffer.from('small')), undefined)
  const waiting = body.write(LARGE)
  assert(waiting instanceof Promise)
  const piece = await body.next()
  assert.equal(piece?.length, 5 + LARGE.length)
  await waiting
})

test('whoever sends gets pieces as they are written, then the end and the trailers', async () => {
  const body = new RequestBody([])
  const first = body.next()
  body.write(Buffer.from('one'))
  assert.equal(String(await first), 'one')
  const end = body.next()
  body.finish(['x-sum', '3'])
  assert.equal(await end, null)
  assert.deepEqual(body.trailers, ['x-sum', '3'])
})

test('its length is what the guest declares, or what it wrote once it is complete', () => {
  const declared = new RequestBody(['Content-Length', '4'])
  assert.equal(declared.length, 4)
  const counted = new RequestBody([])
  assert.equal(counted.length, null)
  counted.write(Buffer.from('abc'))
  counted.finish([])
  assert.equal(counted.length, 3)
})

test('more or less than was declared is an error', async () => {
  const more = new RequestBody(['Content-Length', '2'])
  assert.throws(() => more.write(Buffer.from('abc')), HttpBroken)
  const less = new RequestBody(['Content-Length', '2'])
  less.write(Buffer.from('a'))
  assert.throws(() => less.finish([]), Failure)
  await assert.rejects(less.next(), { reason: 'REQUEST_ABANDONED' })
})

test('one that is left breaks the request', async () => {
  const body = new RequestBody([])
  const piece = body.next()
  body.abandon()
  await assert.rejects(piece, { reason: 'REQUEST_ABANDONED' })
})

test('a guest that waits for room goes on when the exchange is over, and can write no more', async () => {
  const body = new RequestBody([])
  const waiting = body.write(LARGE)
  body.close()
  await waiting
  assert.equal(await body.next(), null)
  assert.throws(() => body.write(Buffer.from('more')), { code: 'ECONNRESET' })
})
