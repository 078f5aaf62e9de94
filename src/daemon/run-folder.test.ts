import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'

import { clearRunFolder, makePassage, makeRunFolder, specificationPath } from './run-folder.ts'

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-run-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('makePassage() opens the folder to pass through, and no further', async (t) => {
  const folder = path.join(await temporary(t), 'a', 'b')
  await makePassage(folder)
  assert.equal(statSync(folder).mode & 0o777, 0o711)
})

test("makePassage() names a folder that is somebody else's", async () => {
  // The kernel's: not even root changes its mode.
  await assert.rejects(makePassage('/proc/self/task'), {
    code: 'permission_denied',
    reason: 'FOLDER_DENIED',
    message: /^\/proc\/self\/task /,
  })
})

test('clearRunFolder() leaves nothing of its own', async (t) => {
  const run = path.join(await temporary(t), 'run')
  await makeRunFolder(run)
  await writeFile(specificationPath(run), '')
  await clearRunFolder(run)
  assert.ok(!existsSync(run))
})

test('clearRunFolder() leaves what is still in use', async (t) => {
  const run = path.join(await temporary(t), 'run')
  const socket = path.join(run, 'i', 'adopted.c')
  await makeRunFolder(run)
  await writeFile(socket, '')
  await clearRunFolder(run)
  assert.ok(existsSync(socket))
  assert.ok(!existsSync(path.join(run, 'e')))
})
