import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, suite, test } from 'node:test'

import { randomFrom } from '../../../tests/conformance/store-fixture.ts'
import type { Operation, Store } from '../store.ts'

import { openSqliteStore } from './index.ts'

const root = await mkdtemp(path.join(tmpdir(), 'quiver-store-'))
after(async () => rm(root, { recursive: true }))

suite('a process that is killed at any time', { timeout: 120_000 }, () => {
  const seed = Math.trunc(Math.random() * 2 ** 31)
  const random = randomFrom(seed)
  const file = path.join(root, 'killed', 'state.db')
  const acknowledged = new Map<string, number>()

  for (let round = 1; round <= 12; round++) {
    const lines = Math.trunc(random() * 300) * (round % 4 === 0 ? 0 : 1)
    const delayMs = Math.trunc(random() * 60)

    test(`round ${round}: ${lines} commits and ${delayMs} ms, seed ${seed}`, async () => {
      await commitUntilKilled(file, round, lines, delayMs, acknowledged)
      await using store = await openSqliteStore(file)
      const entries = new Map((await store.list('')).map(({ key, revision }) => [key, revision]))
      for (const [key, revision] of acknowledged) assert.equal(entries.get(key), revision, key)
      // What was under way may be there or not, but whole: both keys of a commit, and no gap.
      for (const [key, revision] of entries) assert.equal(entries.get(twinOf(key)), revision, key)
      const revisions = new Set(entries.values())
      assert.equal(Math.max(0, ...revisions), revisions.size)
    })
  }
})

suite('opening', { timeout: 60_000 }, () => {
  test('a second opener is refused, in this process and in another', async () => {
    const file = path.join(root, 'locked', 'state.db')
    await using store = await openSqliteStore(file)
    await store.commit([put('a', 'x')])
    const locked = {
      code: 'failed_precondition',
      reason: 'STATE_LOCKED',
      message: /state\.db is in use/,
    }
    await assert.rejects(openSqliteStore(file), locked)
    const opener = startProgram(`
    await openSqliteStore(${JSON.stringify(file)}).catch((error) => console.log(error.reason))`)
    const [line] = await once(createInterface(opener.stdout), 'line')
    assert.equal(line, 'STATE_LOCKED')
    assert.equal(await store.commit([put('b', 'x')]), 2)
  })

  test('two who create the same file at once: one is refused', async () => {
    const file = path.join(root, 'raced', 'state.db')
    const opened = await Promise.allSettled([openSqliteStore(file), openSqliteStore(file)])
    const stores = opened.flatMap((outcome) =>
      outcome.status === 'fulfilled' ? [outcome.value] : [],
    )
    assert.equal(stores.length, 1)
    await Promise.all(stores.map(async (store) => store[Symbol.asyncDispose]()))
  })

  test('leases and history outlive the process', async () => {
    const file = path.join(root, 'leases', 'state.db')
    {
      await using store = await openSqliteStore(file, { now: () => 1000 })
      await store.lease('leader', 'a', 500)
      await store.commit([put('a', '1')])
      await store.commit([{ kind: 'delete', key: 'a' }])
    }
    await using store = await openSqliteStore(file, { now: () => 1499 })
    assert.equal(await store.lease('leader', 'b', 500), false)
    for await (const change of store.watch('', 1, AbortSignal.timeout(10_000))) {
      assert.deepEqual(change, { kind: 'delete', key: 'a', revision: 2 })
      break
    }
  })

  test('only its owner may read the file', async () => {
    const file = path.join(root, 'modes', 'state.db')
    await using store = await openSqliteStore(file)
    await store.commit([put('a', 'secret')])
    const modes = [file, `${file}-wal`, `${file}-acknowledged`].map(
      async (name) => (await stat(name)).mode & 0o777,
    )
    assert.deepEqual(await Promise.all(modes), [0o600, 0o600, 0o600])
  })

  test('a path that cannot be used is named', async () => {
    await writeFile(path.join(root, 'file'), '')
    const unavailable = {
      code: 'unavailable',
      reason: 'STATE_UNAVAILABLE',
      message: /cannot be used/,
    }
    await assert.rejects(openSqliteStore(path.join(root, 'file', 'state.db')), unavailable)
    await assert.rejects(openSqliteStore(root), unavailable)
  })
})

const canMount = process.getuid?.() === 0
suite(
  'a full disk',
  { skip: !canMount && 'only root can mount a small tmpfs', timeout: 60_000 },
  () => {
    const disk = path.join(root, 'disk')
    before(async () => {
      await mkdir(disk)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk])
    })
    after(() => execFileSync('umount', [disk]))

    test('fails what does not fit, keeps the rest, and works again when there is space', async () => {
      const file = path.join(disk, 'state.db')
      const kept = await fill(file, path.join(disk, 'ballast'))
      await using store = await openSqliteStore(file)
      assert.deepEqual(
        (await store.list('')).map(({ key, revision }) => [key, revision]),
        kept,
      )
      assert.equal(await store.commit([put('last', 'x')]), kept.length + 1)
    })

    test('a store that cannot be created says so', async () => {
      await writeFile(path.join(disk, 'ballast'), Buffer.alloc(16 * 1024 * 1024)).catch(() => {})
      const full = { code: 'resource_exhausted', reason: 'DISK_FULL' }
      await assert.rejects(openSqliteStore(path.join(disk, 'new', 'state.db')), full)
      await rm(path.join(disk, 'ballast'))
      await using store = await openSqliteStore(path.join(disk, 'new', 'state.db'))
      assert.equal(await store.commit([put('a', 'x')]), 1)
    })
  },
)

/** Commits until the disk is full, frees the ballast, commits again; returns what must be there. */
async function fill(
  file: string,
  ballast: string,
): Promise<readonly (readonly [string, number])[]> {
  await using store = await openSqliteStore(file)
  await writeFile(ballast, Buffer.alloc(4 * 1024 * 1024))
  const kept: (readonly [string, number])[] = []
  const commit = async (): Promise<void> => {
    const key = `key/${String(kept.length).padStart(4, '0')}`
    kept.push([key, await store.commit([put(key, 'x'.repeat(60_000))])])
    return commit()
  }
  const full = { code: 'resource_exhausted', reason: 'DISK_FULL', message: /state\.db/ }
  await assert.rejects(commit(), full)
  assert.ok(kept.length > 10)
  await assertHolds(store, kept)
  const many = Array.from({ length: 20 }, async (_, index) =>
    store.commit([put(`${index}`, 'x'.repeat(60_000))]),
  )
  await Promise.all(many.map(async (one) => assert.rejects(one, full)))
  await assertHolds(store, kept)

  await rm(ballast)
  const key = 'key/last'
  kept.push([key, await store.commit([put(key, 'x'.repeat(60_000))])])
  await assertHolds(store, kept)
  return kept
}

async function assertHolds(
  store: Store,
  kept: readonly (readonly [string, number])[],
): Promise<void> {
  assert.deepEqual(
    (await store.list('')).map(({ key, revision }) => [key, revision]),
    kept,
  )
}

/** Runs a process that commits as fast as it can, and kills it once it has acknowledged `lines` commits. */
async function commitUntilKilled(
  file: string,
  round: number,
  lines: number,
  delayMs: number,
  acknowledged: Map<string, number>,
): Promise<void> {
  const child = startProgram(`
    import { writeSync } from 'node:fs'
    const store = await openSqliteStore(${JSON.stringify(file)})
    const work = async (worker) => {
      for (let n = 0; ; n++) {
        const key = '${round}/' + worker + '/' + n
        const value = Buffer.alloc((n * 997) % 20_000, worker)
        const operations = ['/a', '/b'].map((twin) => ({ kind: 'put', key: key + twin, value }))
        writeSync(1, key + ' ' + (await store.commit(operations)) + '\\n')
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5].map(work))`)
  const closed = once(child, 'close')
  let left = lines
  if (left === 0) setTimeout(() => child.kill('SIGKILL'), delayMs)
  for await (const line of createInterface(child.stdout)) {
    const [key = '', revision] = line.split(' ')
    acknowledged.set(`${key}/a`, Number(revision))
    if (--left === 0) child.kill('SIGKILL')
  }
  await closed
  assert.equal(child.signalCode, 'SIGKILL')
}

function startProgram(source: string): ChildProcess & { readonly stdout: NodeJS.ReadableStream } {
  const module = JSON.stringify(new URL('./index.ts', import.meta.url).href)
  const program = `import { openSqliteStore } from ${module};${source}`
  return spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
}

function twinOf(key: string): string {
  return key.endsWith('/a') ? `${key.slice(0, -1)}b` : `${key.slice(0, -1)}a`
}

function put(key: string, text: string): Operation {
  return { kind: 'put', key, value: Buffer.from(text) }
}
