/**
 * What every state store must do, whatever keeps its bytes.
 *
 * Call `testStore` from a store's own test file. The suite talks only to the public contract, so a store that
 * passes can be swapped for another one.
 */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { Entry, Operation } from '../../src/store/store.ts'

import { put, remove, textOf, type StoreFixture } from './store-fixture.ts'
import { testWatch } from './store-watch.ts'

const KEY_BYTES_MAX = 512
const VALUE_BYTES_MAX = 1024 * 1024

export function testStore(name: string, fixture: StoreFixture): void {
  suite(`${name} store`, { timeout: 60_000 }, () => {
    suite('reading and writing', () => testEntries(fixture))
    suite('compare and set', () => testExpectations(fixture))
    suite('limits', () => testLimits(fixture))
    suite('watch', () => testWatch(fixture))
    suite('leases', () => testLeases(fixture))
  })
}

function testEntries(fixture: StoreFixture): void {
  test('what was put is read back with its revision', async () => {
    await using store = await fixture.open()
    assert.equal(await store.commit([put('task/a', 'one')]), 1)
    assert.equal(await store.commit([put('task/b', 'two')]), 2)
    assert.equal(await store.commit([put('task/a', 'three')]), 3)
    assert.deepEqual(plain(await store.get('task/a')), ['task/a', 'three', 3])
    assert.deepEqual(plain(await store.get('task/b')), ['task/b', 'two', 2])
  })

  test('what does not exist is undefined', async () => {
    await using store = await fixture.open()
    assert.equal(await store.get('task/a'), undefined)
    assert.deepEqual(await store.list(''), [])
  })

  test('what was deleted is gone', async () => {
    await using store = await fixture.open()
    await store.commit([put('task/a', '1'), put('task/b', '2')])
    assert.equal(await store.commit([remove('task/a')]), 2)
    assert.equal(await store.get('task/a'), undefined)
    assert.deepEqual((await store.list('task/')).map(plain), [['task/b', '2', 1]])
  })

  test('list() has the keys below a prefix, and no others, in byte order', async () => {
    await using store = await fixture.open()
    const keys = ['b', 'a/2', 'a/10', 'a', 'a/', 'a0', 'A/1', 'a/~', 'a/B', 'a/b', 'a/_']
    await Array.fromAsync(keys, async (key) => store.commit([put(key, key)]))
    const listed = await store.list('a/')
    assert.deepEqual(listed.map(keyOf), ['a/', 'a/10', 'a/2', 'a/B', 'a/_', 'a/b', 'a/~'])
    assert.deepEqual((await store.list('')).map(keyOf), keys.toSorted(byBytes))
    assert.deepEqual(await store.list('c'), [])
  })

  test('values are any bytes, also none', async () => {
    await using store = await fixture.open()
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    await store.commit([
      { kind: 'put', key: 'bytes', value: bytes },
      { kind: 'put', key: 'none', value: new Uint8Array() },
    ])
    assert.deepEqual(Buffer.from((await store.get('bytes'))?.value ?? []), Buffer.from(bytes))
    assert.equal((await store.get('none'))?.value.byteLength, 0)
  })

  test('the bytes given and taken are the caller’s own', async () => {
    await using store = await fixture.open()
    const value = Buffer.from('original')
    const committed = store.commit([{ kind: 'put', key: 'a', value }])
    value.fill(0)
    await committed
    const first = await store.get('a')
    assert.equal(textOf(first), 'original')
    first?.value.fill(0)
    assert.equal(textOf(await store.get('a')), 'original')
  })

  test('a batch is one revision', async () => {
    await using store = await fixture.open()
    await store.commit([put('old', 'x')])
    assert.equal(await store.commit([put('a', '1'), put('b', '2'), remove('old')]), 2)
    assert.deepEqual((await store.list('')).map(plain), [
      ['a', '1', 2],
      ['b', '2', 2],
    ])
  })

  test('a batch that changes nothing makes no revision', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1')])
    assert.equal(await store.commit([remove('absent')]), 1)
    assert.equal(await store.commit([{ kind: 'check', key: 'a', expected: 1 }]), 1)
    assert.equal(await store.commit([put('b', '2')]), 2)
  })

  test('1,000 concurrent commits have the revisions 1 to 1,000', async () => {
    await using store = await fixture.open()
    const commits = Array.from({ length: 1000 }, async (_, index) =>
      store.commit([put(`key/${index}`, `value ${index}`)]),
    )
    const revisions = await Promise.all(commits)
    assert.deepEqual(
      revisions.toSorted((a, b) => a - b),
      Array.from({ length: 1000 }, (_, index) => index + 1),
    )
    for (const entry of await store.list('key/')) {
      const index = Number(entry.key.slice('key/'.length))
      assert.deepEqual(plain(entry), [`key/${index}`, `value ${index}`, revisions[index]])
    }
  })

  test('after disposal everything is refused', async () => {
    const store = await fixture.open()
    const last = store.commit([put('a', '1')])
    await store[Symbol.asyncDispose]()
    assert.equal(await last, 1, 'what was asked for before is finished')
    const closed = { code: 'canceled', reason: 'STATE_CLOSED' }
    await assert.rejects(store.get('a'), closed)
    await assert.rejects(store.commit([put('a', '2')]), closed)
    await assert.rejects(store.lease('a', 'b', 1000), closed)
    await store[Symbol.asyncDispose]()
  })
}

function testExpectations(fixture: StoreFixture): void {
  const conflict = { code: 'failed_precondition', reason: 'REVISION_CONFLICT' }

  test('expected 0 creates, and only creates', async () => {
    await using store = await fixture.open()
    assert.equal(await store.commit([put('a', '1', 0)]), 1)
    await assert.rejects(store.commit([put('a', '2', 0)]), { ...conflict, message: /"a"/ })
    await store.commit([remove('a')])
    assert.equal(await store.commit([put('a', '3', 0)]), 3)
  })

  test('an expected revision must be the current one', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1')])
    assert.equal(await store.commit([put('a', '2', 1)]), 2)
    await assert.rejects(store.commit([put('a', '3', 1)]), conflict)
    await assert.rejects(store.commit([remove('a', 1)]), conflict)
    await assert.rejects(store.commit([remove('absent', 7)]), conflict)
    assert.equal(await store.commit([remove('a', 2)]), 3)
  })

  test('a check that fails fails the whole batch, naming the first key', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1'), put('b', '1')])
    const batch: readonly Operation[] = [
      put('new', 'x'),
      { kind: 'check', key: 'a', expected: 1 },
      { kind: 'check', key: 'b', expected: 5 },
      { kind: 'check', key: 'c', expected: 5 },
    ]
    await assert.rejects(store.commit(batch), { ...conflict, message: /"b"/ })
    assert.equal(await store.get('new'), undefined)
    const sound: readonly Operation[] = [
      { kind: 'check', key: 'a', expected: 1 },
      { kind: 'check', key: 'absent', expected: 0 },
      put('a', '2', 1),
    ]
    assert.equal(await store.commit(sound), 2)
  })

  test('a conflict uses no revision', async () => {
    await using store = await fixture.open()
    await store.commit([put('a', '1')])
    await assert.rejects(store.commit([put('a', '2', 9)]), conflict)
    assert.equal(await store.commit([put('a', '2')]), 2)
  })

  test('of many concurrent commits that expect the same, one wins', async () => {
    await using store = await fixture.open()
    const attempts = Array.from({ length: 50 }, async (_, index) =>
      store.commit([put('a', `${index}`, 0)]),
    )
    const outcomes = await Promise.allSettled([...attempts, store.commit([put('b', 'x')])])
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 2)
    assert.deepEqual((await store.list('')).length, 2)
  })

  test('concurrent increments by compare and set lose none', async () => {
    await using store = await fixture.open()
    const increment = async (): Promise<number> => {
      const entry = await store.get('n')
      const next = Number(textOf(entry) || '0') + 1
      const committed = store.commit([put('n', `${next}`, entry?.revision ?? 0)])
      return committed.catch(async (error: unknown) => {
        assert.throws(() => {
          throw error
        }, conflict)
        return increment()
      })
    }
    await Promise.all(Array.from({ length: 20 }, increment))
    assert.equal(textOf(await store.get('n')), '20')
  })
}

function testLimits(fixture: StoreFixture): void {
  test('a key has at most 512 bytes', async () => {
    await using store = await fixture.open()
    const key = 'k'.repeat(KEY_BYTES_MAX)
    await store.commit([put(key, 'v')])
    assert.equal(textOf(await store.get(key)), 'v')
    const tooLong = { code: 'invalid_argument', reason: 'KEY_TOO_LONG' }
    await assert.rejects(store.commit([put(`${key}k`, 'v')]), tooLong)
    await assert.rejects(store.get(`${key}k`), tooLong)
  })

  for (const key of ['', 'two words', 'tab\t', 'ü', 'nul\0', 'line\n']) {
    test(`${JSON.stringify(key)} is not a key`, async () => {
      await using store = await fixture.open()
      const invalid = { code: 'invalid_argument', reason: 'KEY_INVALID' }
      await assert.rejects(store.commit([put(key, 'v')]), invalid)
      await assert.rejects(store.get(key), invalid)
    })
  }

  test('a value has at most 1 MiB', async () => {
    await using store = await fixture.open()
    const value = new Uint8Array(VALUE_BYTES_MAX).fill(7)
    await store.commit([{ kind: 'put', key: 'a', value }])
    assert.deepEqual((await store.get('a'))?.value, value)
    const larger: Operation = { kind: 'put', key: 'a', value: new Uint8Array(VALUE_BYTES_MAX + 1) }
    await assert.rejects(store.commit([larger]), {
      code: 'invalid_argument',
      reason: 'VALUE_TOO_LARGE',
      message: /"a"/,
    })
  })

  test('a batch has at most 1,024 operations and 16 MiB', async () => {
    await using store = await fixture.open()
    const operations = Array.from({ length: 1024 }, (_, index) => put(`key/${index}`, 'v'))
    assert.equal(await store.commit(operations), 1)
    const tooLarge = { code: 'invalid_argument', reason: 'BATCH_TOO_LARGE' }
    await assert.rejects(store.commit([...operations, put('one', 'more')]), tooLarge)
    const value = new Uint8Array(VALUE_BYTES_MAX)
    const heavy = Array.from({ length: 16 }, (_, index): Operation => ({
      kind: 'put',
      key: `${index}`,
      value,
    }))
    await assert.rejects(store.commit(heavy), tooLarge)
  })

  test('a batch does something, and writes each key once', async () => {
    await using store = await fixture.open()
    const invalid = { code: 'invalid_argument', reason: 'BATCH_INVALID' }
    await assert.rejects(store.commit([]), invalid)
    await assert.rejects(store.commit([put('a', '1'), remove('a')]), invalid)
  })
}

function testLeases(fixture: StoreFixture): void {
  test('one owner at a time holds a lease, until it expires', async () => {
    let nowMs = 1_000_000
    await using store = await fixture.open({ now: () => nowMs })
    assert.equal(await store.lease('leader', 'a', 1000), true)
    nowMs += 999
    assert.equal(await store.lease('leader', 'b', 1000), false)
    nowMs += 1
    assert.equal(await store.lease('leader', 'b', 1000), true)
    assert.equal(await store.lease('leader', 'a', 1000), false)
  })

  test('it is neither lost nor longer when the wall clock is set', async (context) => {
    await using store = await fixture.open()
    await store.lease('leader', 'a', 60_000)
    await store.lease('short', 'a', 1)
    for (const jumpMs of [86_400_000, -86_400_000]) {
      context.mock.timers.enable({ apis: ['Date'], now: Date.now() + jumpMs })
      assert.equal(await store.lease('leader', 'b', 60_000), false)
      context.mock.timers.reset()
    }
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() - 86_400_000 })
    const beganMs = performance.now()
    while (performance.now() - beganMs < 2) await new Promise(setImmediate)
    assert.equal(await store.lease('short', 'b', 60_000), true)
  })

  test('its owner may extend it', async () => {
    let nowMs = 1_000_000
    await using store = await fixture.open({ now: () => nowMs })
    await store.lease('leader', 'a', 1000)
    nowMs += 900
    assert.equal(await store.lease('leader', 'a', 1000), true)
    nowMs += 900
    assert.equal(await store.lease('leader', 'b', 1000), false)
  })

  test('only its owner may release it', async () => {
    await using store = await fixture.open({ now: () => 1_000_000 })
    await store.lease('leader', 'a', 1000)
    await store.release('leader', 'b')
    assert.equal(await store.lease('leader', 'b', 1000), false)
    await store.release('leader', 'a')
    assert.equal(await store.lease('leader', 'b', 1000), true)
    await store.release('never held', 'b').catch(() => {})
  })

  test('of many who ask at once, one gets it', async () => {
    await using store = await fixture.open()
    const asked = Array.from({ length: 20 }, async (_, index) =>
      store.lease('leader', `${index}`, 60_000),
    )
    const granted = await Promise.all(asked)
    assert.equal(granted.filter(Boolean).length, 1)
    assert.equal(await store.lease('other', 'x', 60_000), true)
  })

  test('a lease is not an entry', async () => {
    await using store = await fixture.open()
    await store.lease('leader', 'a', 1000)
    assert.deepEqual(await store.list(''), [])
    assert.equal(await store.commit([put('leader', 'x', 0)]), 1)
  })
}

function plain(entry: Entry | undefined): readonly [string?, string?, number?] {
  return entry ? [entry.key, textOf(entry), entry.revision] : []
}

function keyOf({ key }: Entry): string {
  return key
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
