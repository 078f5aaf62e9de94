import assert from 'node:assert/strict'
import { test } from 'node:test'

import { spec as sample } from '../../tests/fixtures/samples.ts'
import type { Connection, TaskSpec } from '../core/task.ts'

import { assertNoPlainTcp } from './plain-tcp.ts'

/** Deployed, and whether each is a module. */
const DEPLOYED: ReadonlyMap<string, boolean> = new Map([
  ['module', true],
  ['server', false],
])

function caller(callee: string, kind: Connection['kind']): TaskSpec {
  return { ...sample, name: 'caller', connect: [{ task: callee, as: 'it', port: 8080, kind }] }
}

async function check(
  spec: TaskSpec,
  isModule: boolean,
  others: readonly TaskSpec[] = [],
): Promise<void> {
  const registry = {
    get: (name: string) => (DEPLOYED.has(name) ? { name } : undefined),
    *specsOfOthers() {
      yield* others
    },
  }
  await assertNoPlainTcp(spec, isModule, registry, async (name) => DEPLOYED.get(name) ?? false)
}

test('plain TCP to a module is refused, and HTTP is not', async () => {
  const refused = { reason: 'TCP_TO_MODULE', message: /caller connects to module over plain TCP/ }
  await assert.rejects(check(caller('module', 'tcp'), false), refused)
  await check(caller('module', 'http'), false)
})

test('plain TCP to a server, or to what is not there yet, is allowed', async () => {
  await check(caller('server', 'tcp'), false)
  await check(caller('later', 'tcp'), true)
})

test('a module that others connect to over plain TCP is refused, and a server is not', async () => {
  const callee = { ...sample, name: 'later', connect: [] }
  const others = [caller('later', 'tcp')]
  await assert.rejects(check(callee, true, others), { reason: 'TCP_TO_MODULE' })
  await check(callee, false, others)
  await check(callee, true, [caller('later', 'http')])
})

test('a module cannot connect to itself over plain TCP', async () => {
  await assert.rejects(check(caller('caller', 'tcp'), true), { reason: 'TCP_TO_MODULE' })
  await check(caller('caller', 'tcp'), false)
})
