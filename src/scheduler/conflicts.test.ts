import assert from 'node:assert/strict'
import { test } from 'node:test'

import { spec } from '../../tests/fixtures/samples.ts'
import type { PortSpec, TaskSpec } from '../core/task.ts'

import { assertNoConflict } from './conflicts.ts'

function task(name: string, routes: readonly string[], ports: readonly PortSpec[] = []): TaskSpec {
  return { ...spec, name, http: { port: 8000, routes, sticky: 'none' }, ports }
}

function published(address: string, port: number): PortSpec {
  return { port: 6379, publish: { address, port } }
}

/** @param reason  that names the other task; false: not refused */
function assertRefused(mine: TaskSpec, theirs: TaskSpec, reason: string | false): void {
  if (reason === false) assertNoConflict(mine, [theirs])
  else assert.throws(() => assertNoConflict(mine, [theirs]), { reason, message: /theirs/ })
}

const ROUTES: readonly (readonly [mine: string, theirs: string, isTaken: boolean])[] = [
  ['a.example.com', 'a.example.com', true],
  ['a.example.com', 'b.example.com', false],
  ['example.com/api', 'example.com/api', true],
  ['example.com/api', 'example.com/web', false],
  ['example.com/api', 'example.com', false],
  ['GET example.com/api', 'POST example.com/api', false],
  ['GET example.com/api', 'GET example.com/api', true],
  ['example.com/:id', 'example.com/:name', true],
]

for (const [mine, theirs, isTaken] of ROUTES) {
  test(`the route "${mine}" beside "${theirs}" is ${isTaken ? 'refused' : 'allowed'}`, () => {
    assertRefused(task('mine', [mine]), task('theirs', [theirs]), isTaken && 'ROUTE_TAKEN')
  })
}

const PORTS: readonly (readonly [mine: PortSpec, theirs: PortSpec, isTaken: boolean])[] = [
  [published('127.0.0.1', 6379), published('127.0.0.1', 6379), true],
  [published('127.0.0.1', 6379), published('127.0.0.2', 6379), false],
  [published('127.0.0.1', 6379), published('0.0.0.0', 6379), true],
  [published('::', 6379), published('127.0.0.1', 6379), true],
  [published('127.0.0.1', 6379), published('127.0.0.1', 6380), false],
  [{ port: 6379, publish: null }, published('127.0.0.1', 6379), false],
]

for (const [mine, theirs, isTaken] of PORTS) {
  test(`publishing ${show(mine)} beside ${show(theirs)} is ${isTaken ? 'refused' : 'allowed'}`, () => {
    assertRefused(task('mine', [], [mine]), task('theirs', [], [theirs]), isTaken && 'PORT_TAKEN')
  })
}

function show({ publish }: PortSpec): string {
  return publish === null ? 'nothing' : `${publish.address}:${publish.port}`
}
