import assert from 'node:assert/strict'
import { test } from 'node:test'

import { takeSockets } from './sockets.ts'

const handedOver = () => ({
  LISTEN_PID: '7',
  LISTEN_FDS: '2',
  LISTEN_FDNAMES: 'http:egress:beyond',
  HOME: '/',
})

test('takeSockets() finds descriptors by name and leaves nothing to children', () => {
  const env = handedOver()
  const socket = takeSockets(env, 7)
  assert.deepEqual([socket('egress'), socket('http')], [4, 3])
  assert.deepEqual(env, { HOME: '/' })
})

const missing: readonly [why: string, name: string, pid: number][] = [
  ['is not in the list', 'api', 7],
  ['is beyond the count', 'beyond', 7],
  ['was given to another process', 'http', 8],
]
for (const [why, name, pid] of missing) {
  test(`takeSockets() has no socket that ${why}`, () => {
    const socket = takeSockets(handedOver(), pid)
    assert.throws(() => socket(name), { reason: 'SOCKET_MISSING' })
  })
}
