import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'

import { digestOf, type Digest } from '../core/digest.ts'

import { findKernel, kernelsFolder, listKernels, removeKernel } from './kernels.ts'
import { recipeDigest } from './recipe.ts'

suite('kernels', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'quiver-kernels-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  async function put(
    key: string,
    { recipe, ageSeconds = 0 }: { recipe: Digest; ageSeconds?: number },
  ): Promise<Digest> {
    const bytes = `kernel ${key}`
    const digest = digestOf(bytes)
    const place = path.join(folder, key.repeat(64))
    await mkdir(place)
    const record = {
      schema: 1,
      digest,
      release: '6.1.1',
      bytes: bytes.length,
      compiler: 'cc',
      recipe,
    }
    await writeFile(path.join(place, 'kernel.json'), JSON.stringify(record))
    await writeFile(path.join(place, 'vmlinux'), bytes)
    const time = Date.now() / 1000 - ageSeconds
    await utimes(path.join(place, 'vmlinux'), time, time)
    return digest
  }

  const find = () => findKernel({ QUIVER_KERNELS: folder }, 0)

  test('there is none in a folder that is empty or missing', async () => {
    assert.equal(await find(), undefined)
    assert.deepEqual(await listKernels(path.join(folder, 'missing')), [])
  })

  test('one of the present recipe is taken before a newer one of another', async () => {
    const recipe = await recipeDigest()
    const current = await put('a', { recipe, ageSeconds: 60 })
    await put('b', { recipe: digestOf('another') })
    const found = await find()
    assert.equal(found?.digest, current)
    assert.equal(found.isCurrent, true)
    assert.equal((await listKernels(folder)).length, 2)
  })

  test('one of another recipe is taken when there is no better one', async () => {
    await put('a', { recipe: digestOf('old'), ageSeconds: 60 })
    const newer = await put('b', { recipe: digestOf('another') })
    const found = await find()
    assert.equal(found?.digest, newer)
    assert.equal(found.isCurrent, false)
  })

  test('what is unfinished or damaged is not a kernel', async () => {
    const recipe = await recipeDigest()
    await put('a', { recipe })
    await put('b', { recipe })
    await put('c', { recipe })
    await mkdir(path.join(folder, '.build-x'))
    await rm(path.join(folder, 'a'.repeat(64), 'vmlinux'))
    await writeFile(path.join(folder, 'b'.repeat(64), 'vmlinux'), 'cut')
    await writeFile(path.join(folder, 'c'.repeat(64), 'kernel.json'), '{')
    assert.deepEqual(await listKernels(folder), [])
  })

  test('one is removed by the beginning of its digest, and nothing of it is left', async () => {
    const digest = await put('a', { recipe: digestOf('old') })
    const removed = await removeKernel(folder, digest.slice('sha256:'.length, 20))
    assert.equal(removed.digest, digest)
    assert.deepEqual(await readdir(folder), [])
    await assert.rejects(removeKernel(folder, digest), { reason: 'KERNEL_NOT_FOUND' })
  })

  test('a beginning that several have removes none of them', async () => {
    await put('a', { recipe: digestOf('old') })
    await put('b', { recipe: digestOf('old') })
    await assert.rejects(removeKernel(folder, 'sha256:'), { reason: 'KERNEL_AMBIGUOUS' })
    assert.equal((await listKernels(folder)).length, 2)
  })

  test('the folder is what is chosen, else the cache of the machine or of the user', () => {
    assert.equal(kernelsFolder({ QUIVER_KERNELS: '/k' }, 0), '/k')
    assert.equal(kernelsFolder({}, 0), '/var/cache/quiver/kernels')
    assert.equal(kernelsFolder({ HOME: '/home/a' }, 1000), '/home/a/.cache/quiver/kernels')
    assert.equal(kernelsFolder({ XDG_CACHE_HOME: '/c' }, 1000), '/c/quiver/kernels')
  })
})
