import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { buildMemoryDirectory, createScratchDirectory } from './memory-directory.ts'

const [FULL, READ_ONLY, XDEV, LOOP] = [51, 69, 75, 32]
const READ = {
  read: true,
  write: false,
  create: false,
  exclusive: false,
  truncate: false,
  flags: 0,
}
const WRITE = { ...READ, write: true, create: true }
const LIMITS = { bytesMax: 1000, nodesMax: 4 }

function openFile(
  directory: ReturnType<typeof createScratchDirectory>,
  name: string,
  request = WRITE,
) {
  const opened = directory.open(name, request)
  assert.ok(opened.kind === 'file')
  return opened.file
}

suite('the files of an image', () => {
  const bytes = Buffer.from('content')
  const image = buildMemoryDirectory(
    new Map<string, Uint8Array | { link: string }>([
      ['lib/deep/a.txt', bytes],
      ['b', Buffer.from('b')],
      ['lib/link', { link: 'deep/a.txt' }],
    ]),
  )

  test('are in their folders', () => {
    assert.deepEqual(
      image.list().map(({ name }) => name),
      ['lib', 'b'],
    )
    const lib = image.enter('lib')
    assert.equal(lib.readLink('link'), 'deep/a.txt')
    assert.throws(() => lib.open('link', READ), { errno: LOOP })
    assert.equal(lib.enter('deep').parentInode(), lib.stat().inode)
    const target = Buffer.alloc(20)
    const file = openFile(lib.enter('deep'), 'a.txt', READ)
    assert.equal(target.toString('utf8', 0, file.read(target, 3)), 'tent')
    assert.equal(file.read(target, 7), 0)
    assert.equal(file.read(target, 2 ** 50), 0)
  })

  test('cannot be changed, and look the same everywhere', () => {
    const file = openFile(image, 'b', READ)
    for (const change of [
      () => file.write(bytes, 0),
      () => file.setSize(0),
      () => file.allocate(0, 100),
      () => file.setTimes({ accessedNs: 0n, modifiedNs: 0n }),
      () => image.open('b', { ...READ, truncate: true }),
      () => image.open('new', WRITE),
      () => image.remove('b'),
      () => image.makeDirectory('x'),
      () => image.makeLink('x', 'y'),
      () => image.linkTo('b', image, 'x'),
      () => image.renameTo('b', image, 'x'),
    ]) {
      assert.throws(change, { errno: READ_ONLY }, String(change))
    }
    assert.equal(image.statOf('b').modifiedNs, 0n)
  })

  test('are refused by names that are no paths', () => {
    for (const path of ['', '/a', 'a/', 'a//b', '../a', 'a/./b']) {
      assert.throws(() => buildMemoryDirectory(new Map([[path, bytes]])), {
        name: 'AssertionFailed',
      })
    }
    const both = new Map([
      ['a', bytes],
      ['a/b', bytes],
    ])
    assert.throws(() => buildMemoryDirectory(both), { name: 'AssertionFailed' })
  })
})

suite('a scratch folder', () => {
  test('takes what fits, and then is full', () => {
    const scratch = createScratchDirectory(LIMITS)
    const file = openFile(scratch, 'file')
    assert.deepEqual(file.write(Buffer.alloc(900), 0), { written: 900, end: 900 })
    assert.deepEqual(file.write(Buffer.alloc(900), 900), { written: 100, end: 1000 })
    assert.throws(() => file.write(Buffer.alloc(1), 1000), { errno: FULL })
    assert.deepEqual(file.write(Buffer.alloc(10), 500), { written: 10, end: 510 })
    assert.throws(() => file.setSize(1001), { errno: FULL })
    assert.throws(() => file.allocate(2 ** 50, 1), { errno: FULL })
    assert.throws(() => file.write(Buffer.alloc(1), 2 ** 50), { errno: FULL })
    file.setSize(10)
    assert.deepEqual(openFile(scratch, 'other').write(Buffer.alloc(2000), 0).written, 990)
  })

  test('gives back what was removed, once nobody has it open', () => {
    const scratch = createScratchDirectory(LIMITS)
    const file = openFile(scratch, 'file')
    file.setSize(1000)
    scratch.linkTo('file', scratch, 'link')
    scratch.remove('file')
    scratch.remove('link')
    const other = openFile(scratch, 'other')
    assert.throws(() => other.setSize(1), { errno: FULL })
    file.close()
    other.setSize(1000)
  })

  test('holds so many files, folders and links, and forgets those that go', () => {
    const scratch = createScratchDirectory(LIMITS)
    for (let round = 0; round < 20; round += 1) {
      scratch.makeDirectory('dir')
      scratch.makeLink('link', 'dir')
      openFile(scratch, 'file').close()
      assert.throws(() => scratch.makeDirectory('more'), { errno: FULL })
      scratch.removeDirectory('dir')
      scratch.remove('link')
      scratch.remove('file')
    }
    assert.deepEqual(scratch.list(), [])
  })

  test('is neither linked nor moved into another one', () => {
    const [one, two] = [createScratchDirectory(LIMITS), createScratchDirectory(LIMITS)]
    openFile(one, 'file').close()
    assert.throws(() => one.linkTo('file', two, 'file'), { errno: XDEV })
    assert.throws(() => one.renameTo('file', two, 'file'), { errno: XDEV })
  })

  test('that was removed takes no more', () => {
    const scratch = createScratchDirectory(LIMITS)
    scratch.makeDirectory('dir')
    const dir = scratch.enter('dir')
    scratch.removeDirectory('dir')
    assert.throws(() => dir.makeDirectory('x'), { errno: 44 })
  })

  test('reads zeros where a file grew over what it was cut off', () => {
    const file = openFile(createScratchDirectory(LIMITS), 'file')
    file.write(Buffer.alloc(100, 'x'), 0)
    file.setSize(90)
    file.setSize(100)
    const tail = Buffer.alloc(10, 'y')
    assert.equal(file.read(tail, 90), 10)
    assert.deepEqual(tail, Buffer.alloc(10))
  })
})
