import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { RawMessage } from '../link/connection.ts'

import { parseFromEgress, parseFromProxy } from './link-messages.ts'

const GOOD: readonly RawMessage[] = [
  { type: 'wake', task: 'hello', revision: 1, waiting: 3, inFlight: 2 },
  {
    type: 'activity',
    instances: [{ instance: 'i', inFlight: 0, idleSinceMs: 1234.5, requests: 7 }],
  },
  { type: 'drained', instance: 'i' },
  { type: 'busy', instance: 'i' },
  { type: 'suspect', instance: 'i', message: 'ECONNREFUSED' },
  { type: 'firstByte', instance: 'i', requestId: 'r', queueMs: 1.5, atNs: 1e15 },
  {
    type: 'counters',
    tasks: {
      hello: { requests: 1, statuses: { '2xx': 1 }, bytesIn: 0, bytesOut: 5, starts: { cold: 1 } },
    },
  },
  { type: 'publishFailed', task: 'hello', address: '::', hostPort: 1, message: 'EACCES' },
]

for (const message of GOOD) {
  test(`"${message.type}" of the proxy is taken as it is`, () => {
    assert.deepEqual(parseFromProxy(message), message)
  })
}

test('a wake of an earlier version says nothing of what is in flight', () => {
  const message = parseFromProxy({ type: 'wake', task: 'hello', revision: 1, waiting: 3 })
  assert.equal(message?.type === 'wake' && message.inFlight, 0)
})

test('what is not known is not passed on', () => {
  const message = { type: 'drained', instance: 'i', extra: 'x' }
  assert.deepEqual(parseFromProxy(message), { type: 'drained', instance: 'i' })
})

const BAD: readonly RawMessage[] = [
  { type: 'wake', task: 'hello', revision: 1, waiting: -1 },
  { type: 'wake', task: 'hello', revision: 1.5, waiting: 1 },
  { type: 'wake', task: 'x'.repeat(257), revision: 1, waiting: 1 },
  { type: 'activity', instances: 'all' },
  { type: 'activity', instances: [{ instance: 'i', inFlight: 1, idleSinceMs: null, requests: 1 }] },
  { type: 'drained' },
  { type: 'suspect', instance: 'i', message: 'x'.repeat(4097) },
  { type: 'counters', tasks: { hello: { requests: '1' } } },
  { type: 'firstByte', instance: 'i', requestId: 'r', queueMs: Number.NaN, atNs: 1 },
]

for (const message of BAD) {
  test(`a malformed message is refused: ${JSON.stringify(message).slice(0, 80)}`, () => {
    assert.throws(() => parseFromProxy(message), { reason: 'LINK_MALFORMED' })
  })
}

test('unknown types are ignored: the other side may be newer', () => {
  assert.equal(parseFromProxy({ type: 'hint' }), undefined)
  assert.equal(
    parseFromProxy({ type: 'denied', instance: 'i', target: 't', reason: 'r' }),
    undefined,
  )
  assert.equal(parseFromEgress({ type: 'toString' }), undefined)
})

test('"denied" of egress is taken as it is', () => {
  const message = { type: 'denied', instance: 'i', target: 'a:1', reason: 'TARGET_UNDECLARED' }
  assert.deepEqual(parseFromEgress(message), message)
})
