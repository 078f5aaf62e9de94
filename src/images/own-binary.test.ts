import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'

import { binaryConfig, openTestImages, putTexts } from '../../tests/fixtures/images.ts'

import { OwnBinary } from './own-binary.ts'

type TestImages = Awaited<ReturnType<typeof openTestImages>>['images']

function open(images: TestImages, version: string): OwnBinary {
  return new OwnBinary(images, {
    name: 'own',
    fingerprint: async () => version,
    build: async (fingerprint) => {
      const tree = await putTexts(images, { 'main*': `version ${fingerprint}` })
      const config = binaryConfig(tree, { name: 'own', version: `1-${fingerprint}` })
      return { config, sources: new Map() }
    },
  })
}

test('is made once for each version', async () => {
  await using opened = await openTestImages()
  const first = await open(opened.images, 'a').tree()
  assert.deepEqual(await open(opened.images, 'a').tree(), first)
  assert.notEqual((await open(opened.images, 'b').tree()).path, first.path)
  assert.equal((await opened.images.listBinaries()).length, 2)
})

test('of earlier versions those go that no instance has', async () => {
  await using opened = await openTestImages()
  const { images } = opened
  const used = await open(images, 'a').tree()
  const unused = await open(images, 'b').tree()
  const current = open(images, 'c')
  const tree = await current.tree()
  const other = await putTexts(images, { 'main*': 'another' })
  await images.putBinary(binaryConfig(other, { name: 'another', version: '1-b' }))
  await current.removeOthers(new Set([used.path, '/elsewhere']))
  const left = (await images.listBinaries()).map(({ config }) => `${config.name} ${config.version}`)
  assert.deepEqual(left.toSorted(), ['another 1-b', 'own 1-a', 'own 1-c'])
  assert.deepEqual(
    [used, unused, tree].map(({ path }) => existsSync(path)),
    [true, false, true],
  )
})
