/** Nodes that cannot start: why, and that nothing of them is left. Those that start are tested whole, in tests/e2e. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'

import { startNode } from './up.ts'

const isRoot = process.getuid?.() === 0

async function folderOf(t: TestContext, mode: number): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-up-'))
  t.after(() => rm(folder, { recursive: true }))
  await chmod(folder, mode)
  return folder
}

test(
  'a data folder that instances cannot reach is refused at once',
  { skip: !isRoot },
  async (t) => {
    const closed = await folderOf(t, 0o700)
    const env = { QUIVER_DATA: path.join(closed, 'data'), QUIVER_RUN: path.join(closed, 'run') }
    await assert.rejects(startNode({ flags: {}, env, isDetached: false }, t.signal), {
      reason: 'FOLDER_CLOSED',
      hint: new RegExp(`"chmod o\\+x ${closed}"`),
    })
    assert.equal(existsSync(env.QUIVER_DATA), false)
  },
)

/** Settings of a node whose port another program has. */
async function withoutPort(t: TestContext) {
  const folder = await folderOf(t, 0o711)
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port }: { readonly port?: unknown } = Object(taken.address())
  return {
    QUIVER_DATA: path.join(folder, 'data'),
    QUIVER_RUN: path.join(folder, 'run'),
    QUIVER_LISTEN_HTTP: `127.0.0.1:${String(port)}`,
    QUIVER_LISTEN_HTTPS: 'off',
  }
}

test('why a node in the foreground cannot start is told once', async (t) => {
  const env = { ...process.env, ...(await withoutPort(t)) }
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  const child = spawn(path.join(import.meta.dirname, '../../bin/quiver'), ['up'], {
    env,
    stdio: [...stdio],
  })
  assert.ok(child.stderr)
  assert.equal((await text(child.stderr)).match(/Address already in use/g)?.length, 1)
})

test('a node whose port is taken leaves no run folder', async (t) => {
  const env = await withoutPort(t)
  const starting = startNode({ flags: {}, env, isDetached: false }, t.signal)
  await assert.rejects(starting, { reason: 'PORT_IN_USE' })
  assert.equal(existsSync(env.QUIVER_RUN), false)
})
