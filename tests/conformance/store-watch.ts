/** What `watch` of every state store must do. Part of `store.ts`, which calls it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Change, Store } from '../../src/store/store.ts'

import { put, remove, textOf, type StoreFixture } from './store-fixture.ts'

export function testWatch(fixture: StoreFixture): void {
  test('from 0 it begins with everything that exists, in order of revision', async () => {
    await using store = await fixture.open()
    await store.commit([put('t/b', '1')])
    await store.commit([put('t/a', '2'), put('u/a', '2')])
    await store.commit([put('t/b', '3'), put('t/gone', '3')])
    await store.commit([remove('t/gone')])
    const changes = await take(store, 't/', 0, 2)
    assert.deepEqual(changes, ['put t/a 2 2', 'put t/b 3 3'])
  })

  test('from a revision it has all that came later, deletions too', async () => {
    await using store = await fixture.open()
    await store.commit([put('t/a', '1')])
    await store.commit([put('t/a', '2')])
    await store.commit([put('u/a', '3')])
    await store.commit([remove('t/a'), put('t/b', '4')])
    await store.commit([remove('u/a')])
    assert.deepEqual(await take(store, 't/', 1, 3), ['put t/a 2 2', 'delete t/a 4', 'put t/b 4 4'])
    assert.deepEqual(await take(store, '', 4, 1), ['delete u/a 5'])
  })

  test('it goes on with what is committed while it waits', async () => {
    await using store = await fixture.open()
    await using watcher = watch(store, 't/', 0)
    const first = watcher.changes.next()
    await store.commit([put('u/a', 'not watched')])
    await store.commit([put('t/a', '1')])
    assert.equal(show((await first).value), 'put t/a 2 1')
    const second = watcher.changes.next()
    await store.commit([remove('t/a')])
    assert.equal(show((await second).value), 'delete t/a 3')
  })

  test('it has no gaps and no repetitions among concurrent commits', async () => {
    await using store = await fixture.open()
    await store.commit([put('t/before', 'x')])
    const watched = take(store, 't/', 1, 600)
    const started = take(store, 't/', 0, 1)
    const commits = Array.from({ length: 300 }, async (_, index) => {
      await store.commit([put(`t/${index}`, 'x'), put(`u/${index}`, 'x')])
      await store.commit([remove(`t/${index}`)])
    })
    const late = Promise.all(commits).then(async () => take(store, 't/', 1, 600))
    const [live, replayed] = await Promise.all([watched, late, started])
    assert.deepEqual(live, replayed)
    assert.equal(new Set(live).size, 600)
    const revisions = live.map((line) => Number(line.split(' ')[2]))
    assert.deepEqual(
      revisions,
      Array.from({ length: 600 }, (_, index) => index + 2),
    )
  })

  test('a change is seen no later than its commit is acknowledged', async () => {
    await using store = await fixture.open()
    await using watcher = watch(store, '', 0)
    await Array.fromAsync(Array(20).keys(), async (index) => {
      await store.commit([put(`a/${index}`, 'x')])
      const { value } = await watcher.changes.next()
      assert.equal(show(value), `put a/${index} ${index + 1} x`)
    })
  })

  test('it ends without an error when it is aborted, waiting or not', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1'), put('b', '1')])
    const waiting = watch(store, 'none/', 0)
    const next = waiting.changes.next()
    setImmediate(() => waiting.abort())
    assert.equal((await next).done, true)

    const reading = watch(store, '', 0)
    await reading.changes.next()
    reading.abort()
    assert.equal((await reading.changes.next()).done, true)
    assert.equal((await take(store, '', 0, 2)).length, 2)
    for await (const change of store.watch('', 0, AbortSignal.abort())) assert.fail(show(change))
  })

  test('what is no longer kept is REVISION_COMPACTED; from 0 all is there', async () => {
    await using store = await fixture.open({ historyRevisionsMax: 10 })
    await store.commit([put('kept', 'x')])
    await store.commit([put('gone', 'x')])
    await store.commit([remove('gone')])
    await count(store, 400)
    await assert.rejects(take(store, '', 2, 1), {
      code: 'failed_precondition',
      reason: 'REVISION_COMPACTED',
    })
    assert.deepEqual(await take(store, '', 0, 2), ['put kept 1 x', 'put counter 403 399'])
    assert.deepEqual(await take(store, '', 401, 2), ['put counter 402 398', 'put counter 403 399'])
    assert.equal(textOf(await store.get('kept')), 'x')
    assert.equal(await store.commit([put('kept', 'y', 1)]), 404)
    await store.commit([remove('kept')])
    assert.equal(await store.get('kept'), undefined)
  })

  test('a watcher of a quiet prefix is not overtaken by compaction', async () => {
    await using store = await fixture.open({ historyRevisionsMax: 10 })
    await using watcher = watch(store, 'quiet/', 0)
    const next = watcher.changes.next()
    await count(store, 400)
    await store.commit([put('quiet/a', 'x')])
    assert.equal(show((await next).value), 'put quiet/a 401 x')
  })

  test('a revision that does not exist yet is REVISION_UNKNOWN', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1')])
    await assert.rejects(take(store, '', 2, 1), {
      code: 'invalid_argument',
      reason: 'REVISION_UNKNOWN',
    })
  })

  test('disposal of the store ends it with STATE_CLOSED', async () => {
    const store = await fixture.open()
    const next = watch(store, '', 0).changes.next()
    setImmediate(() => void store[Symbol.asyncDispose]())
    await assert.rejects(next, { code: 'canceled', reason: 'STATE_CLOSED' })
  })
}

interface Watcher extends AsyncDisposable {
  readonly changes: AsyncIterator<Change, undefined>
  abort(): void
}

function watch(store: Store, prefix: string, after: number): Watcher {
  const controller = new AbortController()
  const changes = store.watch(prefix, after, controller.signal)[Symbol.asyncIterator]()
  const abort = (): void => controller.abort()
  return { changes, abort, [Symbol.asyncDispose]: async () => abort() }
}

/** The first `length` changes, as text. */
async function take(
  store: Store,
  prefix: string,
  after: number,
  length: number,
): Promise<string[]> {
  const lines: string[] = []
  for await (const change of store.watch(prefix, after, new AbortController().signal)) {
    if (lines.push(show(change)) === length) break
  }
  return lines
}

/** Commits the key `counter` so many times, one after the other: 0, 1, 2 … */
async function count(store: Store, times: number): Promise<void> {
  await Array.fromAsync(Array(times).keys(), async (index) =>
    store.commit([put('counter', `${index}`)]),
  )
}

function show(change: Change | undefined): string {
  if (change === undefined) return 'end'
  if (change.kind === 'delete') return `delete ${change.key} ${change.revision}`
  return `put ${change.entry.key} ${change.entry.revision} ${textOf(change.entry)}`
}
