import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { suite, test } from 'node:test'

import { fileEntry, temporaryFolder } from '../../tests/fixtures/images.ts'

import { collect } from './collect.ts'
import { compareTrees } from './difference.ts'

async function folderWith(texts: Readonly<Record<string, string>>) {
  const folder = await temporaryFolder()
  for (const [name, text] of Object.entries(texts)) {
    const file = path.join(folder.path, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  return folder
}

/** A clock that is ahead, so that no file was modified just now. */
const later = () => BigInt(Date.now() + 10_000) * 1_000_000n

suite('collect()', () => {
  test('lists files, symlinks and empty folders in byte order, by content', async () => {
    await using source = await folderWith({ 'b.js': 'b', 'a/x.js': 'x', 'a.js': 'a', é: 'e' })
    await chmod(path.join(source.path, 'b.js'), 0o700)
    await mkdir(path.join(source.path, 'data'))
    await symlink('../b.js', path.join(source.path, 'a/link'))
    const { tree, sources, leftOut } = await collect(source.path)
    assert.deepEqual(tree, [
      fileEntry('a.js', 'a'),
      { kind: 'symlink', path: 'a/link', target: '../b.js' },
      fileEntry('a/x.js', 'x'),
      fileEntry('b.js', 'b', true),
      { kind: 'folder', path: 'data' },
      fileEntry('é', 'e'),
    ])
    assert.equal(sources.size, 4)
    assert.deepEqual(leftOut, [])
  })

  test('the same files elsewhere, with other times and modes, are the same tree', async () => {
    const texts = { 'a.js': 'a', 'b/c.js': 'c' }
    await using one = await folderWith(texts)
    await using other = await folderWith(texts)
    await utimes(path.join(other.path, 'a.js'), 1, 1)
    await chmod(path.join(other.path, 'a.js'), 0o600)
    assert.deepEqual((await collect(one.path)).tree, (await collect(other.path)).tree)
  })

  test('honours .quiverignore, and says what was left out and why', async () => {
    await using source = await folderWith({
      '.quiverignore': '*.log\n/build/\n!keep.log\n!.env\n',
      'quiver.toml': '',
      '.env': 'KEY=1',
      'sub/.env.local': 'KEY=2',
      '.git/config': '',
      'app.js': 'a',
      'x.log': '',
      'keep.log': '',
      'build/out.js': '',
      'sub/build/in.js': '',
      'node_modules/m/index.js': '',
    })
    const { tree, leftOut } = await collect(source.path)
    const paths = tree.map((entry) => entry.path)
    assert.deepEqual(paths, ['app.js', 'keep.log', 'node_modules/m/index.js', 'sub/build/in.js'])
    assert.deepEqual(leftOut, [
      { path: '.env', reason: 'secret' },
      { path: '.git', reason: 'version control' },
      { path: '.quiverignore', reason: 'configuration' },
      { path: 'build', reason: 'ignored' },
      { path: 'quiver.toml', reason: 'configuration' },
      { path: 'sub/.env.local', reason: 'secret' },
      { path: 'x.log', reason: 'ignored' },
    ])
  })

  for (const target of ['/etc/passwd', '../outside', 'a/../../outside']) {
    test(`refuses a symlink to ${target}, naming it`, async () => {
      await using source = await folderWith({ 'a/b': '' })
      await symlink(target, path.join(source.path, 'link'))
      await assert.rejects(collect(source.path), { reason: 'PATH_ESCAPES', message: /"link"/ })
    })
  }

  test('an ignored symlink may lead anywhere', async () => {
    await using source = await folderWith({ '.quiverignore': 'link' })
    await symlink('/etc', path.join(source.path, 'link'))
    assert.deepEqual((await collect(source.path)).tree, [])
  })

  test('refuses a pipe and a socket, naming them', async () => {
    await using pipes = await folderWith({})
    execFileSync('mkfifo', [path.join(pipes.path, 'fifo')])
    await assert.rejects(collect(pipes.path), {
      reason: 'FILE_UNSUPPORTED',
      message: /"fifo".*pipe/,
    })
    await using sockets = await folderWith({})
    const server = net.createServer().listen(path.join(sockets.path, 's'))
    await once(server, 'listening')
    await assert.rejects(collect(sockets.path), { reason: 'FILE_UNSUPPORTED', message: /socket/ })
    server.close()
  })

  test('refuses a name that is not UTF-8', async () => {
    await using source = await folderWith({})
    await writeFile(Buffer.concat([Buffer.from(`${source.path}/a`), Buffer.from([0xff])]), '')
    await assert.rejects(collect(source.path), { reason: 'FILE_NAME_INVALID' })
  })

  test('says that a folder is not there, or is a file', async () => {
    await using source = await folderWith({ a: '' })
    for (const name of ['missing', 'a']) {
      await assert.rejects(collect(path.join(source.path, name)), { reason: 'SOURCE_NOT_FOUND' })
    }
  })

  test('stops at too many files or bytes', async () => {
    await using source = await folderWith({ a: '12345', b: '', c: '' })
    const large = { reason: 'TREE_TOO_LARGE' }
    const limited = (limits: { entries: number; bytes: number }) => collect(source.path, { limits })
    await assert.rejects(limited({ entries: 2, bytes: 100 }), large)
    await assert.rejects(limited({ entries: 3, bytes: 4 }), large)
    assert.equal((await limited({ entries: 3, bytes: 5 })).tree.length, 3)
  })

  test('notices a file that changes while it is read', async () => {
    await using source = await folderWith({ 'a.log': 'one' })
    const file = path.join(source.path, 'a.log')
    const nowNs = () => {
      // Called just before the file is read, after it was looked at.
      execFileSync('sh', ['-c', `echo more >> "${file}"`])
      return 0n
    }
    await assert.rejects(collect(source.path, { nowNs }), {
      reason: 'FILE_CHANGED',
      message: /a\.log/,
    })
  })
})

suite('a rebuild', () => {
  test('reads only what changed, and forgets what was deleted', async () => {
    await using source = await folderWith({ a: 'a', b: 'b', 'c/d': 'd' })
    await using cache = await temporaryFolder()
    const options = { cacheFolder: cache.path, nowNs: later }
    const first = await collect(source.path, options)
    assert.equal(first.filesRead, 3)
    assert.equal((await collect(source.path, options)).filesRead, 0)

    await writeFile(path.join(source.path, 'b'), 'B')
    await rm(path.join(source.path, 'c'), { recursive: true })
    const second = await collect(source.path, options)
    assert.equal(second.filesRead, 1)
    assert.deepEqual(compareTrees(first.tree, second.tree), [
      { path: 'b', change: 'changed', bytes: 1 },
      { path: 'c/d', change: 'removed', bytes: 1 },
    ])
  })

  test('sees a file of the same size and time that was put in the place of another', async () => {
    await using source = await folderWith({ a: 'one', b: 'two' })
    await using cache = await temporaryFolder()
    const options = { cacheFolder: cache.path, nowNs: later }
    await collect(source.path, options)
    const [from, to] = [path.join(source.path, 'b'), path.join(source.path, 'a')]
    const { atime, mtime } = await stat(to)
    await rename(from, to)
    await utimes(to, atime, mtime)
    const { tree, filesRead } = await collect(source.path, options)
    assert.equal(filesRead, 1)
    assert.deepEqual(tree, [fileEntry('a', 'two')])
  })

  test('reads again what was modified just before it was read', async () => {
    await using source = await folderWith({ a: 'a' })
    await using cache = await temporaryFolder()
    const options = { cacheFolder: cache.path }
    await collect(source.path, options)
    assert.equal((await collect(source.path, options)).filesRead, 1)
  })

  test('takes a damaged cache for an empty one', async () => {
    await using source = await folderWith({ a: 'a' })
    await using cache = await temporaryFolder()
    const options = { cacheFolder: cache.path, nowNs: later }
    await collect(source.path, options)
    execFileSync('sh', ['-c', `sed -i 2s/sha256/sha255/ "${cache.path}"/*`])
    assert.equal((await collect(source.path, options)).filesRead, 1)
  })
})

test('compareTrees() tells additions, changes of content, mode and target, and removals apart', () => {
  const before = [
    fileEntry('mode', 'm'),
    fileEntry('old', '12'),
    fileEntry('same', 's'),
    { kind: 'symlink', path: 'z', target: 'a' } as const,
  ]
  const after = [
    fileEntry('mode', 'm', true),
    fileEntry('new', '123'),
    fileEntry('same', 's'),
    { kind: 'symlink', path: 'z', target: 'b' } as const,
  ]
  assert.deepEqual(compareTrees(before, after), [
    { path: 'mode', change: 'changed', bytes: 1 },
    { path: 'new', change: 'added', bytes: 3 },
    { path: 'old', change: 'removed', bytes: 2 },
    { path: 'z', change: 'changed', bytes: 0 },
  ])
})
