import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import { errnoOfThrown, nameOf } from './errno.ts'
import { openHostDirectory } from './host-directory.ts'
import { resolve, type Following } from './resolve.ts'

const READ = {
  read: true,
  write: false,
  create: false,
  exclusive: false,
  truncate: false,
  flags: 0,
}
const WRITE = { ...READ, write: true, create: true, truncate: true }
const TRIES = 20_000

/**
 * A folder for a guest, with a secret beside it. In a process of its own, `swap` and then `file` are exchanged with links that lead out, as fast
 * as that can be done.
 */
async function contested(t: TestContext): Promise<{ inside: string; outside: string }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'quiver-race-'))
  const [inside, outside] = [path.join(folder, 'inside'), path.join(folder, 'outside')]
  for (const each of [inside, outside, path.join(inside, 'swap')]) mkdirSync(each)
  writeFileSync(path.join(outside, 'file'), 'secret')
  writeFileSync(path.join(inside, 'swap/file'), 'public')
  symlinkSync('../outside', path.join(inside, 'link'))
  symlinkSync('../../outside/file', path.join(inside, 'swap/link'))
  const script = `
    const { renameSync } = require('node:fs')
    const swap = (a, b) => { renameSync(a, 'spare'); renameSync(b, a); renameSync('spare', b) }
    process.stdout.write('started')
    for (;;) { swap('swap', 'link'); swap('swap', 'link'); swap('swap/file', 'swap/link'); swap('swap/file', 'swap/link') }`
  const rival = spawn(process.execPath, ['-e', script], { cwd: inside })
  await once(rival.stdout, 'data')
  t.after(async () => {
    rival.kill('SIGKILL')
    await once(rival, 'exit')
    rmSync(folder, { recursive: true })
  })
  return { inside, outside }
}

suite('while another process exchanges folders and files with links', () => {
  test('a file outside is never read, and none is ever written there', async (t) => {
    const { inside, outside } = await contested(t)
    const root = openHostDirectory(inside, { isReadOnly: false })
    t.after(() => root.close())
    const outcomes = new Map<string, number>()
    const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    const paths = ['swap/file', 'link/file', 'swap/../swap/file', 'swap/new', 'link/new']
    const followings: readonly Following[] = ['always', 'slash']
    for (let tries = 0; tries < TRIES; tries += 1) {
      const request = tries % 3 === 0 ? WRITE : READ
      try {
        using place = resolve(root, paths[tries % 5] ?? '', followings[tries % 2] ?? 'always')
        const opened = place.directory.open(place.name ?? '', request)
        assert.equal(opened.kind, 'file')
        if (opened.kind !== 'file') continue
        const bytes = Buffer.alloc(16)
        if (request === READ) {
          const text = bytes.toString('utf8', 0, opened.file.read(bytes, 0))
          assert.ok(text === 'public' || text === '', text)
        } else opened.file.write(Buffer.from('public'), 0)
        opened.file.close()
        count('opened')
      } catch (thrown) {
        const errno = errnoOfThrown(thrown)
        if (errno === undefined) throw thrown
        count(nameOf(errno))
      }
    }
    assert.equal(readFileSync(path.join(outside, 'file'), 'utf8'), 'secret')
    assert.deepEqual(readdirSync(outside), ['file'])
    // Both sides of the race were met, or it proves nothing.
    assert.ok((outcomes.get('opened') ?? 0) > 0, JSON.stringify([...outcomes]))
    assert.ok((outcomes.get('PERM') ?? 0) > 0, JSON.stringify([...outcomes]))
    t.diagnostic(JSON.stringify([...outcomes]))
  })

  test('nothing outside is removed, renamed or listed', async (t) => {
    const { inside, outside } = await contested(t)
    const root = openHostDirectory(inside, { isReadOnly: false })
    t.after(() => root.close())
    let done = 0
    for (let tries = 0; tries < TRIES; tries += 1) {
      try {
        using place = resolve(root, 'swap/file', 'always')
        if (tries % 3 === 0) place.directory.makeDirectory(`made-${tries}`)
        if (tries % 3 === 1)
          assert.ok(place.directory.list().every(({ name }) => name !== 'secret'))
        if (tries % 3 === 2) place.directory.setTimesOf('file', { accessedNs: 1n, modifiedNs: 1n })
        done += 1
      } catch (thrown) {
        if (errnoOfThrown(thrown) === undefined) throw thrown
      }
    }
    assert.ok(done > 0)
    assert.deepEqual(readdirSync(outside), ['file'])
  })
})

test('a pipe does not hold the thread, nor is a device opened', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'quiver-pipe-'))
  const [made, devices] = [folder, '/dev'].map((each) =>
    openHostDirectory(each, { isReadOnly: true }),
  )
  t.after(() => {
    made?.close()
    devices?.close()
    rmSync(folder, { recursive: true })
  })
  await once(spawn('mkfifo', [path.join(folder, 'pipe')]), 'exit')
  assert.throws(() => made?.open('pipe', READ), { errno: 60 })
  assert.throws(() => devices?.open('zero', READ), { errno: 60 })
})

test('a read-only folder refuses every change', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'quiver-readonly-'))
  writeFileSync(path.join(folder, 'file'), 'text')
  const root = openHostDirectory(folder, { isReadOnly: true })
  t.after(() => {
    root.close()
    rmSync(folder, { recursive: true })
  })
  const times = { accessedNs: 1n, modifiedNs: 1n }
  const changes: readonly (() => unknown)[] = [
    () => root.open('file', WRITE),
    () => root.open('file', { ...READ, truncate: true }),
    () => root.open('new', { ...READ, create: true }),
    () => root.makeDirectory('new'),
    () => root.makeLink('new', 'file'),
    () => root.remove('file'),
    () => root.removeDirectory('file'),
    () => root.linkTo('file', root, 'new'),
    () => root.renameTo('file', root, 'new'),
    () => root.setTimes(times),
    () => root.setTimesOf('file', times),
  ]
  for (const change of changes) assert.throws(change, { errno: 69 }, String(change))
  assert.equal(root.open('file', READ).kind, 'file')
})
