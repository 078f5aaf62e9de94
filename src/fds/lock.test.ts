import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test, type TestContext } from 'node:test'

import { isLockHeld, openLock } from './lock.ts'

async function openPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp('/tmp/quiver-lock-')
  t.after(() => rm(folder, { recursive: true }))
  return path.join(folder, 'lock')
}

test('one holds it, the next gets it afterwards', async (t) => {
  const name = await openPath(t)
  assert.equal(await isLockHeld(name), false)
  const first = await openLock(name)
  assert.ok(first)
  assert.equal(await openLock(name), undefined)
  assert.equal(await isLockHeld(name), true)
  await first[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await using second = await openLock(name)
  assert.ok(second)
})

test('a holder that is killed has let go', async (t) => {
  const name = await openPath(t)
  const source = `
    const { openLock } = await import(process.argv[1])
    globalThis.lock = await openLock(process.argv[2])
    process.stdout.write('locked')
    setInterval(() => {}, 1e6)`
  const module = path.join(import.meta.dirname, 'lock.ts')
  const holder = spawn(process.execPath, ['--input-type=module', '-e', source, module, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  assert.equal(await openLock(name), undefined)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await using lock = await openLock(name)
  assert.ok(lock)
})

test('a file put in the place of a locked one is another lock', async (t) => {
  const name = await openPath(t)
  await using first = await openLock(name)
  assert.ok(first)
  await writeFile(`${name}.new`, '')
  await rename(`${name}.new`, name)
  await using second = await openLock(name)
  assert.ok(second)
})

test('a missing folder is an error, not a lock', async (t) => {
  await assert.rejects(openLock(`${await openPath(t)}/in/here`), { code: 'ENOENT' })
})
