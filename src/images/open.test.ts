import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, link, lstat, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { suite, test } from 'node:test'

import {
  binaryConfig,
  fileEntry,
  imageConfig,
  openTestImages,
  putTexts,
  temporaryFolder,
} from '../../tests/fixtures/images.ts'
import { digestOf, hexOf, type Digest } from '../core/digest.ts'

import type { ImageStore } from './images.ts'

const HELLO = digestOf('hello')
const modeOf = async (file: string) => ((await stat(file)).mode & 0o7777).toString(8)
const fileOf = (dataFolder: string, digest: Digest) =>
  path.join(dataFolder, 'files', hexOf(digest).slice(0, 2), hexOf(digest))

const noLink: typeof link = () => Promise.reject(Object.assign(new Error('no'), { code: 'EPERM' }))

/** Changes the bytes behind our back; the mode stays. */
async function damage(file: string, text: string): Promise<void> {
  const { mode } = await stat(file)
  await chmod(file, 0o600)
  await writeFile(file, text)
  await chmod(file, mode & 0o777)
}

function canMount(): boolean {
  if (process.getuid?.() !== 0) return false
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
}

async function putTool(images: ImageStore, texts: Record<string, string> = {}) {
  const tree = await putTexts(images, { 'usr/bin/tool*': '#!tool', ...texts })
  return images.putBinary(binaryConfig(tree))
}

suite('files', () => {
  test('bytes and streams of the same content are one file, read back whole', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    assert.deepEqual(await images.missing([HELLO, HELLO]), [HELLO])
    assert.deepEqual(await images.putFile(Buffer.from('hello')), { digest: HELLO, bytes: 5 })
    await images.putFile(Readable.from([Buffer.from('hel'), Buffer.from('lo')]), HELLO)
    assert.deepEqual(await images.missing([HELLO]), [])
    assert.equal((await buffer(await images.readFile(HELLO))).toString(), 'hello')
    assert.equal(await modeOf(fileOf(dataFolder, HELLO)), '444')
    assert.deepEqual(await readdir(path.join(dataFolder, 'incoming')), [])
  })

  for (const content of [Buffer.from('other'), Readable.from([Buffer.from('other')])]) {
    test(`refuses ${content instanceof Readable ? 'a stream' : 'bytes'} with another digest, keeps nothing`, async () => {
      await using opened = await openTestImages()
      await assert.rejects(opened.images.putFile(content, HELLO), { reason: 'DIGEST_MISMATCH' })
      assert.deepEqual(await opened.images.missing([digestOf('other')]), [digestOf('other')])
      assert.deepEqual(await readdir(path.join(opened.dataFolder, 'incoming')), [])
    })
  }

  test('a stream that breaks leaves nothing', async () => {
    await using opened = await openTestImages()
    const broken = new Readable({
      read() {
        this.push('hel')
        this.destroy(new Error('connection lost'))
      },
    })
    await assert.rejects(opened.images.putFile(broken, HELLO), /connection lost/)
    assert.deepEqual(await opened.images.missing([HELLO]), [HELLO])
    assert.deepEqual(await readdir(path.join(opened.dataFolder, 'incoming')), [])
  })

  test('two hundred puts at once, each content twice, all succeed', async () => {
    await using opened = await openTestImages()
    const texts = Array.from({ length: 200 }, (_, index) => `text ${index % 100}`)
    const put = await Promise.all(texts.map((text) => opened.images.putFile(Buffer.from(text))))
    assert.deepEqual(await opened.images.missing(put.map(({ digest }) => digest)), [])
  })

  test('reading what is not stored says so', async () => {
    await using opened = await openTestImages()
    await assert.rejects(opened.images.readFile(HELLO), { reason: 'FILE_NOT_FOUND' })
  })
})

suite('a full disk', { skip: canMount() ? false : 'needs root, to mount a small tmpfs' }, () => {
  test('is named, by bytes and streams, and leaves what was stored', async () => {
    await using folder = await temporaryFolder()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=711', 'none', folder.path])
    try {
      await using opened = await openTestImages({ dataFolder: folder.path })
      const { images } = opened
      await images.putFile(Buffer.from('hello'))
      const large = Buffer.alloc(16 * 1024 ** 2)
      const full = { code: 'resource_exhausted', reason: 'DISK_FULL' }
      await assert.rejects(images.putFile(large), full)
      await assert.rejects(images.putFile(Readable.from([large])), full)
      assert.deepEqual(await readdir(path.join(folder.path, 'incoming')), [])
      await images.putFile(Buffer.alloc(1024 ** 2))
      assert.equal((await buffer(await images.readFile(HELLO))).toString(), 'hello')
    } finally {
      execFileSync('umount', ['--lazy', folder.path])
    }
  })
})

suite('configurations', () => {
  test('the same configuration has the same digest and keeps its time', async () => {
    await using opened = await openTestImages()
    const first = await putTool(opened.images)
    const again = await putTool(opened.images)
    assert.deepEqual(again, first)
    assert.deepEqual(await opened.images.getBinary(first.digest), first)
    assert.equal((await opened.images.listBinaries()).length, 1)
  })

  test('a configuration whose file is missing is refused, naming the file', async () => {
    await using opened = await openTestImages()
    const tree = [fileEntry('usr/bin/tool', 'not stored', true)]
    await assert.rejects(opened.images.putBinary(binaryConfig(tree)), {
      reason: 'FILES_MISSING',
      message: /usr\/bin\/tool/,
    })
  })

  test('a configuration that is wrong about a size is told apart from a damaged file', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    await images.putFile(Buffer.from('hello'))
    const [entry] = await putTexts(images, { 'bin/tool*': 'hello' })
    assert.ok(entry?.kind === 'file')
    const put = (bytes: number) => images.putBinary(binaryConfig([{ ...entry, bytes }]))
    await assert.rejects(put(4), { reason: 'TREE_INVALID', message: /said to have 4 bytes/ })
    await damage(fileOf(dataFolder, HELLO), 'hell')
    await assert.rejects(put(5), { reason: 'FILE_CORRUPT' })
  })

  test('an image needs its binary', async () => {
    await using opened = await openTestImages()
    await assert.rejects(opened.images.putImage(imageConfig(HELLO, [])), {
      reason: 'BINARY_NOT_FOUND',
    })
  })

  test('a name, version or entry that makes no sense is refused', async () => {
    await using opened = await openTestImages()
    const tree = await putTexts(opened.images, { 'bin/tool*': 'x', data: 'y' })
    const put = (change: object) => opened.images.putBinary(binaryConfig(tree, change))
    await assert.rejects(put({ name: '../x' }), { reason: 'NAME_INVALID' })
    await assert.rejects(put({ version: 'a/b' }), { reason: 'IMAGE_CONFIG_INVALID' })
    await assert.rejects(put({ entry: '/data' }), { reason: 'TREE_INVALID' })
    await assert.rejects(put({ extra: 1 }), { reason: 'IMAGE_CONFIG_INVALID' })
  })

  test('a damaged configuration is named, and putting it again repairs it', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    const binary = await putTool(images)
    const tree = await putTexts(images, { 'a.js': 'a' })
    const { digest } = await images.putImage(imageConfig(binary.digest, tree))
    const file = path.join(dataFolder, 'configs', hexOf(digest))
    await damage(file, (await readFile(file, 'utf8')).replace('hello', 'hullo'))
    await assert.rejects(images.getImage(digest), { code: 'data_loss', reason: 'FILE_CORRUPT' })
    await images.putImage(imageConfig(binary.digest, tree))
    assert.equal((await images.getImage(digest)).config.name, 'hello')
  })

  test('what is in use is not removed, and the user is named', async () => {
    await using opened = await openTestImages()
    const { images } = opened
    const binary = await putTool(images)
    const image = await images.putImage(imageConfig(binary.digest, []))
    const inUse = new Map([[image.digest, 'task hello, revision 3']])
    await assert.rejects(images.removeImage(image.digest, inUse), {
      reason: 'IMAGE_IN_USE',
      message: /task hello, revision 3/,
    })
    await assert.rejects(images.removeBinary(binary.digest, new Map()), {
      reason: 'BINARY_IN_USE',
      message: /image hello/,
    })
    await images.removeImage(image.digest, new Map())
    await images.removeBinary(binary.digest, new Map())
    await assert.rejects(images.getImage(image.digest), { reason: 'IMAGE_NOT_FOUND' })
    assert.deepEqual(await images.listBinaries(), [])
  })
})

suite('materialise()', () => {
  test('makes a root file system with modes, symlinks, folders and places to mount on', async () => {
    await using opened = await openTestImages()
    const { images } = opened
    const files = await putTexts(images, { 'usr/bin/tool*': 'x', 'usr/lib/data': 'y' })
    const config = binaryConfig([
      { kind: 'symlink', path: 'bin', target: 'usr/bin' },
      { kind: 'folder', path: 'srv' },
      ...files,
    ])
    const { digest } = await images.putBinary(config)
    const made = await images.materialise(digest)
    assert.equal(made.isNew, true)
    assert.deepEqual(await images.materialise(digest), { path: made.path, isNew: false })
    const at = (name: string) => path.join(made.path, name)
    assert.equal(await modeOf(at('bin/tool')), '555')
    assert.equal(await modeOf(at('usr/lib/data')), '444')
    assert.equal(await modeOf(at('srv')), '755')
    assert.equal(await modeOf(made.path), '755')
    assert.equal((await stat(at('etc/hosts'))).size, 0)
    for (const folder of ['.image', 'app', 'dev', 'proc', 'run', 'tmp', 'var/tmp', 'home']) {
      assert.ok((await lstat(at(folder))).isDirectory(), folder)
    }
    assert.ok((await lstat(at('.ainit'))).isFile())
    assert.ok((await lstat(at('var/run'))).isSymbolicLink())
  })

  test('an image has no skeleton, and shares its bytes with the store', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    const binary = await putTool(images)
    const tree = await putTexts(images, { 'a.js': 'hello' })
    const image = await images.putImage(imageConfig(binary.digest, tree))
    const { path: folder } = await images.materialise(image.digest)
    assert.deepEqual(await readdir(folder), ['a.js'])
    assert.equal(
      (await stat(path.join(folder, 'a.js'))).ino,
      (await stat(fileOf(dataFolder, HELLO))).ino,
    )
  })

  test('twenty calls at once make it once', async () => {
    await using opened = await openTestImages()
    const { digest } = await putTool(opened.images)
    const made = await Promise.all(
      Array.from({ length: 20 }, () => opened.images.materialise(digest)),
    )
    assert.equal(made.filter(({ isNew }) => isNew).length, 1)
    assert.deepEqual(await readdir(path.join(opened.dataFolder, 'trees')), [hexOf(digest)])
  })

  test('one content may be executable here and not there', async () => {
    await using opened = await openTestImages()
    const { images } = opened
    const tree = await putTexts(images, { 'bin/tool*': 'same', data: 'same', 'lib/tool*': 'same' })
    const { path: folder } = await images.materialise(
      (await images.putBinary(binaryConfig(tree))).digest,
    )
    const modes = ['bin/tool', 'data', 'lib/tool'].map((name) => modeOf(path.join(folder, name)))
    assert.deepEqual(await Promise.all(modes), ['555', '444', '555'])
  })

  test('a file of the wrong size is named; a good put and another try repair it', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    const { digest } = await putTool(images, { data: 'hello' })
    await damage(fileOf(dataFolder, HELLO), 'he')
    await assert.rejects(images.materialise(digest), {
      code: 'data_loss',
      reason: 'FILE_CORRUPT',
      message: new RegExp(HELLO),
    })
    assert.deepEqual(await readdir(path.join(dataFolder, 'trees')), [])
    await images.putFile(Buffer.from('hello'))
    assert.equal((await images.materialise(digest)).isNew, true)
  })

  test('where a file has too many links, the store goes on with a second copy', async () => {
    const counts = new Map<number, number>()
    const limited: typeof link = async (from, to) => {
      const { ino } = await stat(from)
      const count = counts.get(ino) ?? 0
      if (count >= 2) throw Object.assign(new Error('too many links'), { code: 'EMLINK' })
      counts.set(ino, count + 1)
      await link(from, to)
    }
    await using opened = await openTestImages({ link: limited })
    const names = ['a', 'b', 'c', 'd', 'e'].map((name) => [name, 'hello'])
    const { digest } = await putTool(opened.images, Object.fromEntries(names))
    const { path: folder } = await opened.images.materialise(digest)
    const inodes = await Promise.all(
      names.map(async ([name = '']) => (await stat(path.join(folder, name))).ino),
    )
    assert.equal(new Set(inodes).size, 3)
    assert.equal(await readFile(path.join(folder, 'e'), 'utf8'), 'hello')
  })

  test('where there are no links, files are copied', async () => {
    await using opened = await openTestImages({ link: noLink })
    const { digest } = await putTool(opened.images)
    const { path: folder } = await opened.images.materialise(digest)
    assert.equal(await modeOf(path.join(folder, 'usr/bin/tool')), '555')
  })
})

suite('verify()', () => {
  test('names flipped bits and their users; a new put repairs the store and the trees', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    const binary = await putTool(images, { data: 'hello' })
    const { path: folder } = await images.materialise(binary.digest)
    assert.deepEqual(await images.verify(), [])
    await damage(fileOf(dataFolder, HELLO), 'hellO')

    await assert.rejects(buffer(await images.readFile(HELLO)), { reason: 'FILE_CORRUPT' })
    assert.deepEqual(await images.verify(), [{ digest: HELLO, users: [binary.digest] }])
    assert.deepEqual(await images.missing([HELLO]), [HELLO])
    await images.putFile(Buffer.from('hello'))
    assert.equal(await readFile(path.join(folder, 'data'), 'utf8'), 'hello')
    assert.deepEqual(await images.verify(), [])
  })
})

suite('collectGarbage()', () => {
  test('removes what nothing refers to, and nothing else', async () => {
    await using opened = await openTestImages()
    const { images, dataFolder } = opened
    const kept = await putTool(images, { data: 'kept' })
    const removed = await images.putBinary(
      binaryConfig(await putTexts(images, { 'bin/other*': 'removed', data: 'kept' })),
    )
    await images.materialise(kept.digest)
    await images.materialise(removed.digest)
    await images.removeBinary(removed.digest, new Map())
    assert.deepEqual(await images.collectGarbage(), { files: 1, bytes: 7 })
    assert.deepEqual(await readdir(path.join(dataFolder, 'trees')), [hexOf(kept.digest)])
    assert.deepEqual(await images.missing([digestOf('kept'), digestOf('removed')]), [
      digestOf('removed'),
    ])
  })

  test('leaves what was just put, for the put of a configuration that is to come', async () => {
    await using opened = await openTestImages({ graceMs: 60_000 })
    await opened.images.putFile(Buffer.from('hello'))
    assert.deepEqual(await opened.images.collectGarbage(), { files: 0, bytes: 0 })
  })

  test('leaves what was just put, too, when the wall clock is set', async (context) => {
    await using opened = await openTestImages({ graceMs: 60_000 })
    await opened.images.putFile(Buffer.from('hello'))
    for (const jumpMs of [86_400_000, -86_400_000]) {
      context.mock.timers.enable({ apis: ['Date'], now: Date.now() + jumpMs })
      assert.deepEqual(await opened.images.collectGarbage(), { files: 0, bytes: 0 })
      context.mock.timers.reset()
    }
  })

  test('leaves an old file that was asked for just now', async () => {
    let nowMs = Date.now()
    await using opened = await openTestImages({ graceMs: 60_000, nowMs: () => nowMs })
    const { images } = opened
    await images.putFile(Buffer.from('hello'))
    nowMs += 3_600_000
    await images.missing([HELLO])
    assert.equal((await images.collectGarbage()).files, 0)
    nowMs += 3_600_000
    assert.equal((await images.collectGarbage()).files, 1)
  })

  test('beside puts and materialisations nothing that is needed is lost', async () => {
    await using opened = await openTestImages({ graceMs: 60_000 })
    const { images } = opened
    const deploy = async (round: number) => {
      const tree = await putTexts(images, { 'bin/tool*': `tool ${round % 3}`, data: `${round}` })
      const { digest } = await images.putBinary(binaryConfig(tree))
      return images.materialise(digest)
    }
    const work = Array.from({ length: 30 }, (_, round) => [deploy(round), images.collectGarbage()])
    await Promise.all(work.flat())
    assert.equal((await images.listBinaries()).length, 30)
  })
})
