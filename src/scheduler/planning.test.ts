import assert from 'node:assert/strict'
import { test } from 'node:test'

import { binaryConfig, spec } from '../../tests/fixtures/samples.ts'
import { digestOf } from '../core/digest.ts'
import type { TaskSpec } from '../core/task.ts'

import { NO_STDIO, planGrant, planInstance, planRelays, taskOfInstance } from './planning.ts'

function plan(changes: Partial<TaskSpec> = {}, env: Readonly<Record<string, string>> = {}) {
  const config = { ...binaryConfig, env }
  const digest = digestOf('binary')
  const binary = { digest, config, bytes: 1, createdAtMs: 0 }
  const revision = {
    task: 'hello',
    number: 7,
    image: digest,
    spec: { ...spec, ...changes },
    createdAtMs: 0,
  }
  return planInstance(revision, {
    binary,
    binaryTree: '/trees/b',
    imageTree: '/trees/i',
    uidIndex: 3,
    stdio: NO_STDIO,
    mounts: [],
    isRun: false,
  })
}

test('an id names task and revision, and is another one each time', () => {
  const ids = Array.from({ length: 100 }, () => plan().id)
  assert.equal(new Set(ids).size, 100)
  for (const id of ids) assert.match(id, /^hello-7-[a-z2-7]{6}$/)
})

test('the task of an instance is found, also where its name looks like an id', () => {
  assert.equal(taskOfInstance('hello-7-abc234'), 'hello')
  assert.equal(taskOfInstance('a-1-abcdef-12-abc234'), 'a-1-abcdef')
  assert.equal(taskOfInstance('not an id'), 'not an id')
})

test('env: the image may override the binary, the task both, and nobody the platform', () => {
  const given = { PATH: '/opt', A: 'task', PORT: '1', QUIVER_TASK: 'other' }
  const { env, id } = plan({ env: given }, { A: 'binary', B: 'binary' })
  assert.equal(env['PATH'], '/opt')
  assert.equal(env['A'], 'task')
  assert.equal(env['B'], 'binary')
  assert.equal(env['PORT'], '8003')
  assert.equal(env['QUIVER_TASK'], 'hello')
  assert.equal(env['QUIVER_INSTANCE'], id)
})

test('a task without a web server has no $PORT of ours', () => {
  assert.equal(plan({ http: null, env: {} }).env['PORT'], undefined)
})

const REACHES: Pick<TaskSpec, 'connect' | 'allow'> = {
  connect: [
    { task: 'db', as: 'database', port: 80, kind: 'http' },
    { task: 'db', as: 'database', port: 6379, kind: 'tcp' },
  ],
  allow: [
    { scheme: 'https', host: 'api.example.com', port: 443 },
    { scheme: 'tcp', host: '10.1.2.3', port: 5432 },
  ],
}

test('each name has an address of its own inside, and all its ports share it', () => {
  const relays = planRelays({ ...spec, ...REACHES })
  const [first, second, third] = relays
  assert.equal(first?.address, second?.address)
  assert.notEqual(first?.address, third?.address)
  for (const { name, address } of relays.slice(0, 3)) {
    assert.match(address, /^127\.0\.\d+\.\d+$/, name)
    assert.notEqual(address, '127.0.0.1')
  }
})

const WILD: Pick<TaskSpec, 'allow'> = {
  allow: [
    { scheme: 'tcp', host: 'api.example.com', port: 8443 },
    { scheme: 'https', host: '*.example.com', port: 443 },
    { scheme: 'tcp', host: '2001:db8::1', port: 5432 },
  ],
}

test('a wildcard has no address yet, and gives its port to the names that it covers', () => {
  assert.deepEqual(planRelays({ ...spec, ...WILD }), [
    { name: 'api.example.com', address: '127.0.0.2', port: 8443 },
    { name: 'api.example.com', address: '127.0.0.2', port: 443 },
    { name: '2001:db8::1', address: '2001:db8::1', port: 5432 },
  ])
  assert.deepEqual(plan(WILD).wildcards, [{ pattern: '*.example.com', port: 443 }])
})

test('a wildcard is granted as it is written, and leads to public addresses only', () => {
  assert.deepEqual(planGrant(plan(WILD)).targets, [
    { kind: 'host', name: 'api.example.com', port: 8443, isPrivateAllowed: false },
    { kind: 'host', name: '*.example.com', port: 443, isPrivateAllowed: false },
    { kind: 'host', name: '2001:db8::1', port: 5432, isPrivateAllowed: true },
  ])
})

test('without a private network there is nothing to reach', () => {
  for (const network of ['none', 'host'] as const) {
    assert.deepEqual(planRelays({ ...spec, ...REACHES, network }), [])
    assert.deepEqual(plan({ ...WILD, network }).wildcards, [])
    assert.deepEqual(planGrant(plan({ ...REACHES, network })).targets, [])
  }
})

test('a private address is granted only where it is named as such', () => {
  const { targets } = planGrant(plan(REACHES))
  const hosts = targets.filter((target) => target.kind === 'host')
  assert.deepEqual(
    hosts.map(({ name, isPrivateAllowed }) => [name, isPrivateAllowed]),
    [
      ['api.example.com', false],
      ['10.1.2.3', true],
    ],
  )
})
