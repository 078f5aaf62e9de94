import assert from 'node:assert/strict'
import { existsSync, watch } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'

import { temporaryFolder } from '../../../tests/fixtures/images.ts'
import { MachineRoom, whyNoMachines } from '../../../tests/fixtures/machine.ts'

import { Disks } from './disks.ts'

const WITHOUT_MKFS = { skip: existsSync('/usr/bin/mkfs.erofs') ? false : 'erofs-utils is missing' }
const [ONE, OTHER] = ['1'.repeat(64), '2'.repeat(64)]
const never = new AbortController().signal

interface TestTrees {
  readonly disks: string
  readonly trees: string
}

async function makeTrees(folder: string): Promise<TestTrees> {
  const [disks, trees] = [path.join(folder, 'disks'), path.join(folder, 'trees')]
  for (const name of [ONE, OTHER]) {
    const tree = path.join(trees, name)
    await mkdir(path.join(tree, 'bin'), { recursive: true })
    await writeFile(path.join(tree, 'bin/file'), `content of ${name}\n`)
    await symlink('bin/file', path.join(tree, 'link'))
  }
  return { disks, trees }
}

suite('Disks', WITHOUT_MKFS, () => {
  test('the same tree gives the same bytes, whatever its times are', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const tree = path.join(trees, ONE)
    const first = await readFile(await (await Disks.open(disks, trees)).file(tree, never))
    await utimes(path.join(tree, 'bin/file'), 1, 1)
    const second = await Disks.open(`${disks}-2`, trees)
    assert.deepEqual(await readFile(await second.file(tree, never)), first)
  })

  test('calls that overlap make a disk once, and it is there again for the next process', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    const files = await Promise.all(
      [ONE, ONE, OTHER].map((name) => opened.file(path.join(trees, name), never)),
    )
    assert.deepEqual((await readdir(disks)).toSorted(), [`${ONE}.erofs`, `${OTHER}.erofs`])
    assert.equal(files[0], files[1])
    const again = await Disks.open(disks, trees)
    assert.equal(await again.file(path.join(trees, ONE), never), files[0])
  })

  test('whoever gives up leaves the disk to be made for others', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    const tree = path.join(trees, ONE)
    const patient = opened.file(tree, never)
    await assert.rejects(opened.file(tree, AbortSignal.abort(new Error('enough'))), /enough/)
    assert.ok(existsSync(await patient))
  })

  test('disks of trees that are gone, and what a killed process left, are removed', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    for (const name of [ONE, OTHER]) await opened.file(path.join(trees, name), never)
    await writeFile(path.join(disks, `${ONE}.tmp-0123456789ab`), 'half')
    await rm(path.join(trees, OTHER), { recursive: true })
    await Disks.open(disks, trees)
    assert.deepEqual(await readdir(disks), [`${ONE}.erofs`])
  })

  test('a disk goes when its tree does', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    for (const name of [ONE, OTHER]) await opened.file(path.join(trees, name), never)
    const gone = Promise.withResolvers<void>()
    const watcher = watch(disks, () => {
      if (!existsSync(path.join(disks, `${OTHER}.erofs`))) gone.resolve()
    })
    // As the store of images does it: first of all the name goes.
    await rename(path.join(trees, OTHER), path.join(trees, `${OTHER}.tmp-0123456789ab`))
    await gone.promise
    watcher.close()
    assert.deepEqual(await readdir(disks), [`${ONE}.erofs`])
  })

  test('a tree that cannot be read is said with what mkfs.erofs said, and nothing stays', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    const gone = path.join(trees, '3'.repeat(64))
    await assert.rejects(opened.file(gone, never), { reason: 'DISK_FAILED' })
    assert.deepEqual(await readdir(disks), [])
  })
})

const reason = whyNoMachines()

suite('disks of a machine', { skip: reason ?? WITHOUT_MKFS.skip }, () => {
  test('the guest finds them in their order, and cannot write to them', async () => {
    await using folder = await temporaryFolder()
    const { disks, trees } = await makeTrees(folder.path)
    const opened = await Disks.open(disks, trees)
    const files = await Promise.all(
      [ONE, OTHER].map((name) => opened.file(path.join(trees, name), never)),
    )
    await using room = await MachineRoom.open()
    const initramfs = await room.guest(
      [
        'mount -t erofs /dev/vda /disk && mount -t erofs /dev/vdb /disk2',
        'cat /disk/link /disk2/bin/file',
        'echo x > /dev/vda && echo "it was written"',
        'echo done; sleep 1000',
      ].join('\n'),
    )
    const machine = room.start(room.plan({ initramfs, disks: files }))
    await machine.line('done')
    const [first, second] = [ONE, OTHER].map((name) =>
      machine.console.indexOf(`content of ${name}`),
    )
    assert.ok(first !== undefined && second !== undefined && first >= 0 && first < second)
    assert.doesNotMatch(machine.console, /it was written/)
  })
})
