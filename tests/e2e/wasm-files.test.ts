/** The files of an image as modules see them: the same in every isolation, and in a run. */

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileCommand } from '../fixtures/compile.ts'

import { TestNode } from './harness.ts'

const SOURCE = path.join(import.meta.dirname, 'guests', 'files.c')

suite('files of an image', () => {
  let node: TestNode
  let folder: string
  before(async () => {
    node = await TestNode.start()
    folder = await mkdtemp(path.join(node.folder, 'app-'))
    await copyFile(await compileCommand(SOURCE, node.folder), path.join(folder, 'app.wasm'))
    await mkdir(path.join(folder, 'data'))
    await writeFile(path.join(folder, 'data', 'note.txt'), 'a note\n')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function write(name: string, more = ''): Promise<void> {
    const manifest = `name = "${name}"\nfile = "app.wasm"\n${more}[http]\n`
    await writeFile(path.join(folder, 'quiver.toml'), manifest)
  }

  for (const isolation of ['wasm', 'sandbox']) {
    test(`are there and cannot be changed, with isolation "${isolation}"`, async () => {
      await write(`files-${isolation}`, `isolation = "${isolation}"\n`)
      await node.ok('deploy', folder)
      const ask = async (target: string) => {
        const { body } = await node.request(`files-${isolation}.localhost`, target)
        return body
      }
      assert.equal(await ask('/data/note.txt'), 'a note\nread-only\n')
      assert.equal(await ask('/app/data/note.txt'), 'a note\nread-only\n')
      assert.match(await ask('/app/../etc/passwd'), /^no /)
      assert.match(await ask('/etc/passwd'), /^no /)
      // The module itself is a binary, and no file of the image.
      assert.match(await ask('/app/app.wasm'), /^no /)
    })
  }

  test('are there in a run', async () => {
    await write('files-run')
    const written = await node.ok('run', folder, '--', 'data/note.txt')
    assert.equal(written, 'a note\nread-only\n')
  })

  test('that are too large for an executor are refused by name', async () => {
    await write('files-large')
    const large = path.join(folder, 'data', 'large')
    await writeFile(large, '')
    await truncate(large, 65 * 1024 * 1024)
    await node.ok('deploy', folder)
    const { status, body } = await node.request('files-large.localhost', '/data/note.txt')
    assert.equal(status, 503)
    assert.match(body, /MODULE_FILES_TOO_LARGE/)
  })
})
