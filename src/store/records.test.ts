import assert from 'node:assert/strict'
import { test } from 'node:test'

import { openMemoryStore } from './memory/index.ts'
import { RecordTable } from './records.ts'

interface Fruit {
  readonly color: string
}

function parseFruit(value: unknown): Fruit {
  if (
    typeof value === 'object' &&
    value !== null &&
    'color' in value &&
    typeof value.color === 'string'
  ) {
    return { color: value.color }
  }
  throw new Error('a fruit has a color')
}

const options = { prefix: 'fruit/', parse: parseFruit }

test('a record is read back as it was put, with its revision', async () => {
  await using store = openMemoryStore()
  const fruits = new RecordTable(store, options)
  assert.equal(await fruits.put('apple', { color: 'grün' }), 1)
  assert.deepEqual(await fruits.get('apple'), {
    id: 'apple',
    value: { color: 'grün' },
    revision: 1,
  })
  assert.equal(await fruits.get('pear'), undefined)
  await fruits.delete('apple')
  assert.equal(await fruits.get('apple'), undefined)
})

test('a table lists its own records only', async () => {
  await using store = openMemoryStore()
  const fruits = new RecordTable(store, options)
  const trees = new RecordTable(store, { ...options, prefix: 'fruit-tree/' })
  await trees.put('apple', { color: 'brown' })
  await fruits.put('pear/2', { color: 'yellow' })
  await fruits.put('apple/1', { color: 'red' })
  const ids = (await fruits.list()).map(({ id }) => id)
  assert.deepEqual(ids, ['apple/1', 'pear/2'])
  assert.deepEqual(
    (await fruits.list('pear/')).map(({ id }) => id),
    ['pear/2'],
  )
})

test('put() and delete() change only what was expected', async () => {
  await using store = openMemoryStore()
  const fruits = new RecordTable(store, options)
  const revision = await fruits.put('apple', { color: 'green' }, 0)
  const conflict = { reason: 'REVISION_CONFLICT' }
  await assert.rejects(fruits.put('apple', { color: 'red' }, 0), conflict)
  await assert.rejects(fruits.delete('apple', revision + 1), conflict)
  await fruits.put('apple', { color: 'red' }, revision)
  await fruits.delete('apple', revision + 1)
})

test('operations of several tables are one batch', async () => {
  await using store = openMemoryStore()
  const fruits = new RecordTable(store, options)
  const trees = new RecordTable(store, { ...options, prefix: 'tree/' })
  const batch = [
    fruits.putOperation('apple', { color: 'red' }, 0),
    trees.putOperation('oak', { color: 'brown' }),
  ]
  assert.equal(await store.commit(batch), 1)
  const second = [fruits.checkOperation('apple', 7), trees.deleteOperation('oak')]
  await assert.rejects(store.commit(second), {
    reason: 'REVISION_CONFLICT',
    message: /"fruit\/apple"/,
  })
  assert.equal((await trees.get('oak'))?.revision, 1)
})

test('watch() tells records and deletions', async () => {
  await using store = openMemoryStore()
  const fruits = new RecordTable(store, options)
  await fruits.put('apple', { color: 'red' })
  const controller = new AbortController()
  const changes = fruits.watch(0, controller.signal)
  const record = { id: 'apple', value: { color: 'red' }, revision: 1 }
  assert.deepEqual((await changes.next()).value, { kind: 'put', record })
  const next = changes.next()
  await fruits.delete('apple')
  assert.deepEqual((await next).value, { kind: 'delete', id: 'apple', revision: 2 })
  controller.abort()
  assert.equal((await changes.next()).done, true)
})

for (const text of ['{"color":7}', '{"color":', '']) {
  test(`${JSON.stringify(text)} is not a record, and its key is named`, async () => {
    await using store = openMemoryStore()
    const fruits = new RecordTable(store, options)
    await fruits.put('good', { color: 'red' })
    await store.commit([{ kind: 'put', key: 'fruit/bad', value: Buffer.from(text) }])
    const invalid = { code: 'data_loss', reason: 'RECORD_INVALID', message: /"fruit\/bad"/ }
    await assert.rejects(fruits.get('bad'), invalid)
    await assert.rejects(fruits.list(), invalid)
    assert.equal((await fruits.get('good'))?.value.color, 'red')
  })
}
