import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ports } from './ports.ts'

test('an address is handed over in the order in which they came', () => {
  const ports = new Ports()
  assert.ok(ports.enter('10.83.0.2', 'a'))
  assert.ok(!ports.enter('10.83.0.2', 'b'))
  assert.ok(!ports.enter('10.83.0.2', 'c'))
  assert.ok(ports.enter('10.83.0.3', 'd'))
  assert.equal(ports.leave('10.83.0.2', 'a'), 'b')
  assert.ok(ports.has('10.83.0.2', 'b') && !ports.has('10.83.0.2', 'c'))
})

test('who only waited leaves nothing behind', () => {
  const ports = new Ports()
  ports.enter('10.83.0.2', 'a')
  ports.enter('10.83.0.2', 'b')
  assert.equal(ports.leave('10.83.0.2', 'b'), undefined)
  assert.equal(ports.leave('10.83.0.2', 'a'), undefined)
  assert.equal(ports.leave('10.83.0.2', 'a'), undefined, 'it has left already')
  assert.ok(ports.isEmpty)
})
