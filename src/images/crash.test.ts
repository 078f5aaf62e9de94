import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { suite, test } from 'node:test'

import { openTestImages, RECIPES_FOLDER, temporaryFolder } from '../../tests/fixtures/images.ts'
import { digestOf } from '../core/digest.ts'

import type { BinaryConfig } from './images.ts'
import { SKELETON } from './tree.ts'

/** Puts files, a binary and its tree, again and again, and tells each step on stdout. */
const WRITER = `
  const at = (file) => import(${JSON.stringify(`${import.meta.dirname}/`)} + file)
  const { openImageStore } = await at('open.ts')
  const { openMemoryStore } = await at('../store/memory/index.ts')
  const { binaryConfig, putTexts } = await at('../../tests/fixtures/images.ts')
  const [dataFolder] = process.argv.slice(1)
  const store = openMemoryStore()
  const images = await openImageStore({ dataFolder, store, recipesFolder: ${JSON.stringify(RECIPES_FOLDER)} })
  const say = (...words) => process.stdout.write(words.join(' ') + '\\n')
  for (let round = 0; ; round++) {
    const texts = { 'bin/tool*': 'tool ' + round }
    for (let n = 0; n < 100; n++) texts['lib/' + String(n).padStart(3, '0')] = 'x'.repeat(n * round) + round
    const tree = await putTexts(images, texts)
    for (const { digest } of tree) say('file', digest)
    const { digest } = await images.putBinary(binaryConfig(tree))
    say('config', digest)
    await images.materialise(digest)
    say('tree', digest)
  }`

/** Kills the writer after so many lines, whatever it is doing then. @returns what it said was done */
async function killAfter(lines: number, dataFolder: string): Promise<readonly string[]> {
  const args = ['--input-type=module', '--eval', WRITER, dataFolder]
  const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const said: string[] = []
  for await (const line of createInterface({ input: writer.stdout })) {
    said.push(line)
    if (said.length === lines) writer.kill('SIGKILL')
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit')
  return said
}

/** Every tree that has its name is whole. */
async function checkTrees(dataFolder: string): Promise<readonly string[]> {
  const names = await readdir(path.join(dataFolder, 'trees'))
  for (const name of names) {
    const text = await readFile(path.join(dataFolder, 'configs', name), 'utf8')
    assert.equal(digestOf(text), `sha256:${name}`)
    const config: BinaryConfig = JSON.parse(text)
    for (const entry of config.tree) {
      const file = path.join(dataFolder, 'trees', name, entry.path)
      if (entry.kind === 'symlink') assert.equal(await readlink(file), entry.target)
      if (entry.kind === 'file') assert.equal(digestOf(await readFile(file)), entry.digest)
    }
    for (const { path: place } of SKELETON.filter(({ kind }) => kind !== 'symlink')) {
      await stat(path.join(dataFolder, 'trees', name, place))
    }
  }
  return names.map((name) => `sha256:${name}`)
}

suite('kill -9 of a process that stores files and makes trees', () => {
  for (const lines of [1, 50, 102, 103, 104, 150, 207, 250, 320]) {
    test(`after ${lines} steps, leaves nothing wrong and loses nothing it said was done`, async () => {
      await using folder = await temporaryFolder()
      const said = await killAfter(lines, folder.path)
      await using opened = await openTestImages({ dataFolder: folder.path })
      const done = (what: string) =>
        said.filter((line) => line.startsWith(`${what} `)).map((line) => line.split(' ')[1] ?? '')

      const trees = new Set(await checkTrees(folder.path))
      assert.deepEqual(
        done('tree').filter((digest) => !trees.has(digest)),
        [],
      )
      assert.deepEqual(await readdir(path.join(folder.path, 'incoming')), [])
      const shards = await readdir(path.join(folder.path, 'files'), { recursive: true })
      const stored = new Set(shards.map((file) => `sha256:${path.basename(file, '.x')}`))
      assert.deepEqual(
        done('file').filter((digest) => !stored.has(digest)),
        [],
      )
      const configs = new Set(await readdir(path.join(folder.path, 'configs')))
      assert.deepEqual(
        done('config').filter((digest) => !configs.has(digest.slice(7))),
        [],
      )
      assert.deepEqual(await opened.images.verify(), [])

      await opened.images.collectGarbage()
      assert.deepEqual(await readdir(path.join(folder.path, 'trees')), [])
    })
  }
})
