import assert from 'node:assert/strict'
import { test } from 'node:test'

import { imageConfig } from '../../../tests/fixtures/samples.ts'

import { buildSpec } from './overrides.ts'

const image = {
  ...imageConfig,
  configs: { worker: { args: ['worker.js'], env: { MODE: 'worker', GREETING: 'hi' } } },
}

test('without a request it is what the image says', () => {
  assert.deepEqual(buildSpec(image, {}, 'localhost'), image.spec)
})

test('under another name it has the default route of that name', () => {
  const spec = buildSpec(image, { name: 'other' }, 'apps.example.com')
  assert.equal(spec.name, 'other')
  assert.deepEqual(spec.http?.routes, ['other.apps.example.com'])
  // Its own name is no other name.
  assert.deepEqual(buildSpec(image, { name: 'hello' }, 'x').http, image.spec.http)
})

test('env: overrides before the named configuration before the image', () => {
  const request = { config: 'worker', overrides: { env: { MODE: 'override', NEW: '1' } } }
  const spec = buildSpec(image, request, 'localhost')
  assert.deepEqual(spec.args, ['worker.js'])
  assert.deepEqual(spec.env, { GREETING: 'hi', MODE: 'override', NEW: '1' })
})

test('a configuration that does not exist is answered with the nearest one', () => {
  assert.throws(() => buildSpec(image, { config: 'wroker' }, 'localhost'), {
    reason: 'CONFIG_NOT_FOUND',
    hint: 'Did you mean "worker"?',
  })
  assert.throws(() => buildSpec(image, { config: 'toString' }, 'localhost'), {
    reason: 'CONFIG_NOT_FOUND',
  })
  assert.throws(() => buildSpec({ ...image, configs: {} }, { config: 'worker' }, 'localhost'), {
    hint: 'There are: none.',
  })
})

test('what is not overridden stays, also beside what is', () => {
  const overrides = { memoryBytes: 1, cpuMillis: 250 }
  const { limits } = buildSpec(image, { overrides }, 'localhost')
  assert.deepEqual(limits, { ...image.spec.limits, memoryBytes: 1, cpuMillis: 250 })
})

test('a port that is published is declared once', () => {
  const ports = [
    { port: 6379, publish: null },
    { port: 7000, publish: null },
  ]
  const base = { ...image, spec: { ...image.spec, ports } }
  const publish = [{ address: '127.0.0.1', hostPort: 16_379, port: 6379 }]
  const spec = buildSpec(base, { overrides: { publish } }, 'localhost')
  assert.deepEqual(spec.ports, [
    { port: 7000, publish: null },
    { port: 6379, publish: { address: '127.0.0.1', port: 16_379 } },
  ])
})
