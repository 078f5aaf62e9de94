import assert from 'node:assert/strict'
import { test } from 'node:test'

import { takeSockets } from './sockets.ts'

const handedOver = () => ({
  LISTEN_PID: '7',
  LISTEN_FDS: '2',
  LISTEN_FDNAMES: 'http:egress',
  HOME: '/',
})

const isAnything = (): boolean => true
const isAllBut4 = (fd: number): boolean => fd !== 4

test('takeSockets() finds descriptors by name and leaves nothing to children', () => {
  const env = handedOver()
  const socket = takeSockets(env, 7, isAnything)
  assert.deepEqual([socket('egress'), socket('http')], [4, 3])
  assert.deepEqual(env, { HOME: '/' })
})

const missing: readonly [why: string, name: string, pid: number][] = [
  ['is not in the list', 'api', 7],
  ['was given to another process', 'http', 8],
]
for (const [why, name, pid] of missing) {
  test(`takeSockets() has no socket that ${why}`, () => {
    const socket = takeSockets(handedOver(), pid, isAnything)
    assert.throws(() => socket(name), { reason: 'SOCKET_MISSING' })
  })
}

const contradictions: readonly [what: string, env: Record<string, string>][] = [
  ['fewer names than sockets', { LISTEN_FDNAMES: 'http' }],
  ['more names than sockets', { LISTEN_FDNAMES: 'http:api:egress' }],
  ['an empty name', { LISTEN_FDNAMES: 'http:' }],
  ['a name twice', { LISTEN_FDNAMES: 'http:http' }],
  ['a count that is no number', { LISTEN_FDS: 'two' }],
  ['a negative count', { LISTEN_FDS: '-1' }],
  ['more sockets than a supervisor has', { LISTEN_FDS: '99' }],
]
for (const [what, entries] of contradictions) {
  test(`takeSockets() refuses ${what}`, () => {
    assert.throws(() => takeSockets({ ...handedOver(), ...entries }, 7, isAnything), {
      code: 'failed_precondition',
      reason: 'SOCKETS_INVALID',
    })
  })
}

test('takeSockets() refuses a descriptor that is not a socket', () => {
  assert.throws(() => takeSockets(handedOver(), 7, isAllBut4), /descriptor 4.*"egress"/)
})
