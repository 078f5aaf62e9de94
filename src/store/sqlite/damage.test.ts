import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'

import { randomFrom } from '../../../tests/conformance/store-fixture.ts'
import { QuiverError } from '../../core/error.ts'
import type { Operation, Store } from '../store.ts'

import { listSetAside, openSqliteStore } from './index.ts'

const ROUNDS = Number(process.env['QUIVER_DAMAGE_ROUNDS'] ?? 40)
const SEED = Number(process.env['QUIVER_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))

const root = await mkdtemp(path.join(tmpdir(), 'quiver-store-'))
const corrupt = { code: 'data_loss', reason: 'STATE_CORRUPT' }
let expected: readonly string[] = []
let expectedChanges: readonly string[] = []
let copies = 0

before(async () => {
  // As a killed process leaves it: some of it in the database, the newest in the write-ahead log.
  await using store = await openSqliteStore(path.join(root, 'live', 'state.db'), {
    historyRevisionsMax: 100,
  })
  await write(store, 'older', 500)
  await store[Symbol.asyncDispose]()
  await using again = await openSqliteStore(path.join(root, 'live', 'state.db'), {
    historyRevisionsMax: 100,
  })
  await write(again, 'newer', 60)
  await again.commit([{ kind: 'delete', key: 'older/3' }])
  await again.lease('leader', 'a', 60_000)
  await cp(path.join(root, 'live'), path.join(root, 'original'), { recursive: true })
  expected = await contentOf(again)
  expectedChanges = await changesOf(again)
})
after(async () => rm(root, { recursive: true }))

suite(`single flipped bits, seed ${SEED}`, { timeout: 600_000 }, () => {
  for (const [index, name] of ['state.db', 'state.db-wal', 'state.db-acknowledged'].entries()) {
    const rounds = name === 'state.db-acknowledged' ? 4 : ROUNDS / 2
    test(`${rounds} in ${name}: every read is right or a named error`, async (t) => {
      const random = randomFrom(SEED + index)
      const refused = await Array.fromAsync(Array(rounds).keys(), async () => {
        const file = await copyOriginal()
        const damaged = path.join(path.dirname(file), name)
        const bytes = await readFile(damaged)
        const bit = Math.trunc(random() * bytes.length * 8)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await writeFile(damaged, bytes)
        return isRefused(file, `bit ${bit} of ${name}`)
      })
      t.diagnostic(
        `${refused.filter(Boolean).length} of ${rounds} files were refused as a whole or in part, the others were right`,
      )
    })
  }
})

suite('files that are cut or missing', { timeout: 120_000 }, () => {
  test('a truncated file is refused, and nothing is written to it', async () => {
    const random = randomFrom(SEED)
    await Array.fromAsync(Array(8).keys(), async () => {
      const file = await copyOriginal()
      const length = Math.trunc(random() * (await stat(file)).size)
      await truncate(file, length)
      const bytes = await readFile(file)
      await assert.rejects(
        openSqliteStore(file),
        { ...corrupt, message: /state\.db is damaged/ },
        `${length}`,
      )
      assert.deepEqual(await readFile(file), bytes)
    })
  })

  test('a log that is cut or lost does not lose acknowledged commits silently', async () => {
    const cut = await copyOriginal()
    await truncate(`${cut}-wal`, Math.trunc((await stat(`${cut}-wal`)).size / 2))
    await assert.rejects(openSqliteStore(cut), { ...corrupt, message: /was acknowledged/ })
    const lost = await copyOriginal()
    await rm(`${lost}-wal`)
    await assert.rejects(openSqliteStore(lost), { ...corrupt, message: /was acknowledged/ })
  })

  test('a database that is empty or missing is not taken for a new one', async () => {
    const empty = await copyOriginal()
    await truncate(empty, 0)
    await assert.rejects(openSqliteStore(empty), corrupt)
    const missing = await copyOriginal()
    await rm(missing)
    await assert.rejects(openSqliteStore(missing), { ...corrupt, message: /missing or empty/ })
  })

  test('an older copy is refused until the operator says that it is meant', async () => {
    const file = await copyOriginal()
    await rm(`${file}-wal`)
    await rm(`${file}-acknowledged`)
    await using store = await openSqliteStore(file)
    assert.equal((await store.list('older/')).length, 500)
  })

  test('files of others are refused', async () => {
    const foreign = path.join(root, 'foreign.db')
    execute(foreign, 'CREATE TABLE theirs (a)')
    await assert.rejects(openSqliteStore(foreign), {
      ...corrupt,
      message: /not a state file of Quiver/,
    })
    const text = path.join(root, 'text.db')
    await writeFile(text, 'hello\n'.repeat(1000))
    await assert.rejects(openSqliteStore(text), { ...corrupt, message: /not a database/ })
  })

  test('a file of a newer format is refused by that name', async () => {
    const file = await copyOriginal()
    execute(file, 'PRAGMA user_version = 2')
    await assert.rejects(openSqliteStore(file), { reason: 'STATE_TOO_NEW', message: /format 2/ })
  })

  test('a row whose value was changed is set aside and named; all others are there', async () => {
    const file = await copyOriginal()
    const whole = await closedContentOf(file)
    execute(file, `UPDATE version SET value = x'00' WHERE key = 'older/7'`)
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(
        await closedContentOf(file),
        whole.filter((line) => !line.startsWith('older/7 ')),
      )
      assert.deepEqual(listSetAside(file), ['older/7'])
    }
    const [line = ''] = (await readFile(`${file}-damaged`, 'utf8')).split('\n')
    const { key, value } = JSON.parse(line)
    assert.deepEqual([key, value], ['older/7', 'AA=='])
    await using store = await openSqliteStore(file)
    await store.commit([put('older/7', 'again')])
    assert.equal(Buffer.from((await store.get('older/7'))?.value ?? []).toString(), 'again')
  })

  test('an older value does not come back for a newer one that is damaged', async () => {
    const file = path.join(root, 'newer', 'state.db')
    {
      await using store = await openSqliteStore(file)
      for (const value of ['first', 'second', 'third']) await store.commit([put('one', value)])
      await store.commit([put('two', 'stays')])
      await store.commit([{ kind: 'delete', key: 'none' }, put('three', 'stays')])
    }
    execute(file, `UPDATE version SET value = x'00' WHERE key = 'one' AND revision = 3`)
    {
      await using store = await openSqliteStore(file)
      const keys = (await store.list('')).map(({ key }) => key)
      assert.deepEqual([keys, await store.get('one')], [['three', 'two'], undefined])
      await store.commit([{ ...put('one', 'fourth'), expected: 0 }])
      await assert.rejects(changesAfter(store, 1), { reason: 'REVISION_COMPACTED' })
    }
    await using store = await openSqliteStore(file)
    assert.equal(Buffer.from((await store.get('one'))?.value ?? []).toString(), 'fourth')
  })

  test('a row that nobody needs any more is set aside without a loss', async () => {
    const file = path.join(root, 'overwritten', 'state.db')
    {
      await using store = await openSqliteStore(file)
      for (const value of ['first', 'second']) await store.commit([put('one', value)])
    }
    execute(file, `UPDATE version SET value = x'00' WHERE revision = 1`)
    await using store = await openSqliteStore(file)
    assert.equal(Buffer.from((await store.get('one'))?.value ?? []).toString(), 'second')
  })

  for (const column of ['key', 'size', 'isDeletion', 'revision'] as const) {
    test(`a row whose ${column} was changed is refused, since more than it may be wrong`, async () => {
      const file = await copyOriginal()
      await closedContentOf(file)
      const value = column === 'key' ? `'older/8'` : `${column} + 1`
      const where =
        column === 'revision' || column === 'size'
          ? 'revision = (SELECT max(revision) FROM version)'
          : `key = 'older/7'`
      execute(file, `UPDATE OR REPLACE version SET ${column} = ${value} WHERE ${where}`)
      await assert.rejects(openSqliteStore(file), corrupt)
    })
  }
})

suite('damage while the store is open', { timeout: 120_000 }, () => {
  test(`flipped bits give right values or errors that name the key, seed ${SEED}`, async (t) => {
    const file = path.join(root, 'open', 'state.db')
    {
      await using store = await openSqliteStore(file, { historyRevisionsMax: 100 })
      await Array.fromAsync(Array(600).keys(), async (index) =>
        store.commit([put(`k/${index}`, large(index))]),
      )
    }
    await using store = await openSqliteStore(file, { historyRevisionsMax: 100 })
    flipFromOutside(file, 40)
    const outcomes = await Array.fromAsync(Array(600).keys(), async (index) => {
      const key = `k/${index}`
      try {
        const entry = await store.get(key)
        assert.equal(Buffer.from(entry?.value ?? []).toString(), large(index))
        return true
      } catch (error) {
        if (!(error instanceof QuiverError)) throw error
        assert.equal(error.reason, 'STATE_CORRUPT')
        assert.match(error.message, new RegExp(`"${key}"`))
        return false
      }
    })
    const wrong = outcomes.filter((isRight) => !isRight).length
    t.diagnostic(`${wrong} of 600 reads named their key as damaged`)
    assert.ok(wrong > 0 && wrong < 300)
    await assert.rejects(store.list('k/'), corrupt)
    // A key that is damaged can be written again.
    const damaged = `k/${outcomes.indexOf(false)}`
    await store.commit([put(damaged, 'new')])
    assert.equal(Buffer.from((await store.get(damaged))?.value ?? []).toString(), 'new')
  })
})

/** True when it, or what is damaged in it, was refused by name; false when everything in it is right. Anything else fails the test. */
async function isRefused(file: string, what: string): Promise<boolean> {
  try {
    await using store = await openSqliteStore(file, { historyRevisionsMax: 100 })
    const gone = new Set(listSetAside(file))
    const left = expected.filter((line) => !gone.has(line.split(' ')[0] ?? ''))
    assert.deepEqual(await contentOf(store), left, what)
    if (gone.size === 0) assert.deepEqual(await changesOf(store), expectedChanges, what)
    return gone.size > 0
  } catch (error) {
    if (!(error instanceof QuiverError)) throw error
    assert.match(error.reason, /^STATE_(?:CORRUPT|TOO_NEW)$/, `${what}: ${error.message}`)
    return true
  }
}

async function contentOf(store: Store): Promise<readonly string[]> {
  const entries = await store.list('')
  return entries.map(
    ({ key, revision, value }) => `${key} ${revision} ${Buffer.from(value).toString('base64')}`,
  )
}

/** The last revisions, as a watcher sees them. */
async function changesOf(store: Store): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const change of store.watch('', 520, AbortSignal.timeout(20_000))) {
    const { key, revision } = change.kind === 'put' ? change.entry : change
    lines.push(`${change.kind} ${key} ${revision}`)
    if (revision === 561) break
  }
  return lines
}

async function changesAfter(store: Store, revision: number): Promise<void> {
  for await (const change of store.watch('', revision, AbortSignal.timeout(20_000)))
    assert.ok(change)
}

/** Opens and closes it, so that its log is in the file as well. */
async function closedContentOf(file: string): Promise<readonly string[]> {
  await using store = await openSqliteStore(file)
  return await contentOf(store)
}

async function write(store: Store, prefix: string, count: number): Promise<void> {
  await Array.fromAsync(Array(count).keys(), async (index) =>
    store.commit([put(`${prefix}/${index}`, `${prefix} ${index} `.repeat(index))]),
  )
}

async function copyOriginal(): Promise<string> {
  const folder = path.join(root, `copy-${++copies}`)
  await cp(path.join(root, 'original'), folder, { recursive: true })
  return path.join(folder, 'state.db')
}

/** Changes the file behind the store's back. */
function execute(file: string, sql: string): void {
  using database = new DatabaseSync(file)
  database.exec(sql)
}

/** From another process: closing a descriptor of the file in this one would release SQLite's lock. */
function flipFromOutside(file: string, bits: number): void {
  const program = `
    const [file, bits, seed] = process.argv.slice(1)
    const fs = require('node:fs')
    const bytes = fs.readFileSync(file)
    const fd = fs.openSync(file, 'r+')
    for (let n = 0, state = Number(seed) + 1; n < Number(bits); n++) {
      state = (state * 48271) % 2147483647
      const at = Math.trunc(state / 2147483647 * bytes.length)
      fs.writeSync(fd, Buffer.of(bytes[at] ^ (1 << (n & 7))), 0, 1, at)
    }`
  execFileSync(process.execPath, [
    '--input-type=commonjs',
    '--eval',
    program,
    file,
    `${bits}`,
    `${SEED}`,
  ])
}

function large(index: number): string {
  return `value ${index} `.repeat(900)
}

function put(key: string, text: string): Operation {
  return { kind: 'put', key, value: Buffer.from(text) }
}
