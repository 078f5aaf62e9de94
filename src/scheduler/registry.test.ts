import assert from 'node:assert/strict'
import { test } from 'node:test'

import { spec } from '../../tests/fixtures/samples.ts'
import { digestOf } from '../core/digest.ts'
import type { Revision, Task } from '../core/task.ts'
import { openMemoryStore } from '../store/memory/index.ts'
import type { Store } from '../store/store.ts'

import { TaskRegistry } from './registry.ts'

function task(name: string, changes: Partial<Task> = {}): Task {
  return {
    name,
    kind: 'service',
    traffic: [{ revision: 1, percent: 100 }],
    revisionLast: 1,
    candidate: null,
    previous: null,
    desired: 'on',
    isRemovedAtEnd: false,
    instances: null,
    uidIndex: 0,
    createdAtMs: 0,
    ...changes,
  }
}

function revision(name: string, number = 1): Revision {
  return { task: name, number, image: digestOf('i'), spec: { ...spec, name }, createdAtMs: 0 }
}

async function open(store: Store, heard: string[] = []): Promise<TaskRegistry> {
  const registry = new TaskRegistry(store)
  await registry.open((name, changed) => {
    const revisions = [...registry.revisions(name).keys()].join()
    heard.push(`${name}: ${changed === undefined ? 'gone' : revisions}`)
  })
  return registry
}

test('what is saved is known when save() resolves, and its revisions when the task is heard of', async () => {
  const heard: string[] = []
  await using registry = await open(openMemoryStore(), heard)
  await registry.save(task('a'), { add: revision('a') })
  assert.equal(registry.current(registry.require('a'))?.number, 1)
  await registry.save(task('a', { revisionLast: 2 }), { add: revision('a', 2), drop: [1] })
  await registry.remove('a')
  assert.deepEqual(heard, ['a: 1', 'a: 2', 'a: gone'])
  assert.deepEqual([...registry.revisions('a').keys()], [])
})

test('a registry that is opened later knows the same', async () => {
  const store = openMemoryStore()
  {
    await using registry = await open(store)
    await registry.save(task('a'), { add: revision('a') })
  }
  await using registry = await open(store)
  assert.deepEqual(registry.require('a'), task('a'))
  assert.equal(registry.revisions('a').get(1)?.image, digestOf('i'))
})

test('it opens after many changes of others that the store has forgotten', async () => {
  const store = openMemoryStore({ historyRevisionsMax: 4 })
  {
    await using registry = await open(store)
    await registry.save(task('a'), { add: revision('a') })
  }
  for (let number = 0; number < 20; number++) {
    await store.commit([{ kind: 'put', key: `image/${number}`, value: Buffer.from('x') }])
  }
  await using registry = await open(store)
  await registry.save(task('b'), { add: revision('b') })
  assert.equal(registry.list().length, 2)
})

test('of two changes of the same task from the same state, the second is refused', async () => {
  const store = openMemoryStore()
  await using registry = await open(store)
  await registry.save(task('a'), { add: revision('a') })
  const outcomes = await Promise.allSettled([
    registry.save(task('a', { instances: 1 })),
    registry.save(task('a', { instances: 2 })),
  ])
  const [, second] = outcomes
  assert.equal(second.status === 'rejected' && second.reason.reason, 'REVISION_CONFLICT')
})

test('uid indexes are filled from below, and two new tasks at once have two', async () => {
  await using registry = await open(openMemoryStore())
  await registry.save(task('a', { uidIndex: 0 }), { add: revision('a') })
  await registry.save(task('c', { uidIndex: 2 }), { add: revision('c') })
  assert.deepEqual([registry.promiseUidIndex('b'), registry.promiseUidIndex('d')], [1, 3])
  assert.equal(registry.count, 4)
  registry.keepPromise('b')
  assert.equal(registry.promiseUidIndex('e'), 1)
})

test('what another deployment is about to have counts as taken', async () => {
  await using registry = await open(openMemoryStore())
  await registry.save(task('a'), { add: revision('a') })
  const claim = registry.claim(revision('b').spec)
  const names = () => [...registry.specsOfOthers('c')].map(({ name }) => name)
  assert.deepEqual(names(), ['a', 'b'])
  assert.deepEqual(
    [...registry.specsOfOthers('b')].map(({ name }) => name),
    ['a'],
  )
  claim[Symbol.dispose]()
  assert.deepEqual(names(), ['a'])
})

test('a name that nobody has is answered with the nearest one', async () => {
  await using registry = await open(openMemoryStore())
  await registry.save(task('photo-db'), { add: revision('photo-db') })
  assert.throws(() => registry.require('photo-bd'), {
    reason: 'TASK_NOT_FOUND',
    hint: 'Did you mean "photo-db"?',
  })
})
