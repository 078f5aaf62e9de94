/** `npm start`, after `quiver doctor --fix`: the main job in one go, and its end by Ctrl-C at any time. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

import { ROOT } from './harness.ts'
import { Shell } from './shell.ts'

/** Sends SIGINT when a line of its output matches. @returns what it printed until then and after, and its status */
async function startUntil(seen: RegExp): Promise<{
  readonly status: unknown
  readonly stdout: string
  readonly stderr: string
}> {
  await using shell = await Shell.open()
  const script = path.join(ROOT, 'scripts/start.ts')
  const child = spawn(path.join(ROOT, 'scripts/node'), [script], {
    env: { ...shell.env, QUIVER_LISTEN_HTTP: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [exited, said] = [once(child, 'exit'), text(child.stderr)]
  let stdout = ''
  for await (const line of createInterface(child.stdout)) {
    stdout += `${line}\n`
    if (seen.test(line)) child.kill('SIGINT')
  }
  const [status] = await exited
  return { status, stdout, stderr: await said }
}

test('npm start deploys examples, shows cold and warm requests, and goes on until Ctrl-C', async () => {
  const { status, stdout, stderr } = await startUntil(/^The node runs until Ctrl-C/)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^http:\/\/node-hello\.localhost:\d+\/  cold [\d.]+ ms, warm [\d.]+ ms$/m)
  assert.match(stdout, /^http:\/\/static-c\.localhost:\d+\/  cold [\d.]+ ms, warm [\d.]+ ms/m)
  assert.match(stdout, /^http:\/\/busybox\.localhost:\d+\/  cold /m)
})

test('npm start ends without a stack trace when Ctrl-C comes between its requests', async () => {
  const { status, stdout, stderr } = await startUntil(/^http:\/\/node-hello\.localhost:\d+\/  cold/)
  assert.equal(status, 0, stderr)
  assert.doesNotMatch(stderr, /Error:|node:internal/)
  assert.doesNotMatch(stdout, /The node runs until Ctrl-C/)
})
