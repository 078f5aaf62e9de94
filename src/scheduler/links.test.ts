import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { spec as sample } from '../../tests/fixtures/samples.ts'
import type { Task } from '../core/task.ts'
import type { ModuleInspection } from '../drivers/module-plan.ts'

import { connectLinks, type LinkHost } from './links.ts'

const SPEC = { ...sample, name: 'sums' }
const ADD = { task: 'numbers', function: 'add', signature: '(i32, i32) -> i32' }
const NUMBERS: ModuleInspection = {
  kind: 'reactor',
  entry: null,
  exports: [{ name: 'add', signature: '(i32, i32) -> i32' }],
  exportCount: 1,
  links: [],
  producers: [],
  memoryBytes: 0,
}

/** A node with these tasks; null: a program. */
function hostOf(tasks: Readonly<Record<string, ModuleInspection | null>>): LinkHost {
  return {
    registry: { get: (name) => (Object.hasOwn(tasks, name) ? taskOf(name) : undefined) },
    inspectTask: async (name) => tasks[name] ?? null,
  }
}

function taskOf(name: string): Task {
  return {
    name,
    kind: name.startsWith('run') ? 'run' : 'service',
    traffic: [],
    revisionLast: 1,
    candidate: null,
    previous: null,
    desired: 'on',
    isRemovedAtEnd: false,
    instances: null,
    uidIndex: 0,
    createdAtMs: 0,
  }
}

suite('an import from a task', () => {
  test('becomes a connection, once', async () => {
    const links = [ADD, { ...ADD }]
    const { connect } = await connectLinks(SPEC, links, hostOf({ numbers: NUMBERS }))
    assert.deepEqual(connect, [{ task: 'numbers', as: 'numbers', port: 80, kind: 'http' }])
  })

  test('goes where a connection of that name leads', async () => {
    const connect = [{ task: 'numbers-v2', as: 'numbers', port: 8000, kind: 'http' }] as const
    const spec = { ...SPEC, connect }
    assert.equal(await connectLinks(spec, [ADD], hostOf({ 'numbers-v2': NUMBERS })), spec)
    await assert.rejects(connectLinks(spec, [ADD], hostOf({ numbers: NUMBERS })), {
      reason: 'LINK_MISSING',
      message: /"numbers-v2", which is not deployed/,
    })
  })

  test('asks a program for nothing: it answers calls as it likes', async () => {
    const { connect } = await connectLinks(SPEC, [ADD], hostOf({ numbers: null }))
    assert.equal(connect.length, 1)
  })

  test('leaves alone what has none', async () => {
    assert.equal(await connectLinks(SPEC, [], hostOf({})), SPEC)
  })

  const refused: readonly [what: string, link: Partial<typeof ADD>, reason: string, RegExp][] = [
    ['that is not deployed', { task: 'nobody' }, 'LINK_MISSING', /"nobody"/],
    ['that is a run', { task: 'run-1' }, 'LINK_MISSING', /"run-1"/],
    ['that is itself', { task: 'sums' }, 'LINK_CYCLE', /is itself/],
    ['without the export', { function: 'sub' }, 'LINK_EXPORT_MISSING', /does not export/],
    [
      'with another signature',
      { signature: '(i32) -> i32' },
      'LINK_EXPORT_MISSING',
      /add\(i32\) -> i32 .* where it is add\(i32, i32\) -> i32/,
    ],
  ]
  for (const [what, link, reason, message] of refused) {
    test(`${what} is refused`, async () => {
      const host = hostOf({ numbers: NUMBERS, 'run-1': null, sums: NUMBERS })
      await assert.rejects(connectLinks(SPEC, [{ ...ADD, ...link }], host), { reason, message })
    })
  }

  test('is refused to a task that has no network', async () => {
    const spec = { ...SPEC, network: 'none' } as const
    await assert.rejects(connectLinks(spec, [ADD], hostOf({ numbers: NUMBERS })), {
      reason: 'SPEC_UNSUPPORTED',
    })
  })

  test('is not refused for an export beyond those that are known', async () => {
    const many = { ...NUMBERS, exportCount: 1000 }
    const link = { ...ADD, function: 'other' }
    assert.equal((await connectLinks(SPEC, [link], hostOf({ numbers: many }))).connect.length, 1)
  })
})
