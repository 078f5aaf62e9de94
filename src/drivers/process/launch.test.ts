import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

import { temporaryFolder } from '../../../tests/fixtures/images.ts'

import { launch } from './launch.ts'

const AINIT = '/no/such/ainit'

test('a program that cannot be started is an error, and an end', async () => {
  await using folder = await temporaryFolder()
  const launched = launch(AINIT, folder.path, [])
  await assert.rejects(launched.bound, { reason: 'START_FAILED', message: /ENOENT/ })
  await launched.ended
})

test('without descriptors a launch fails, and control goes on', async () => {
  await using folder = await temporaryFolder()
  const module = path.join(import.meta.dirname, 'launch.ts')
  const script = `
    const { closeSync, openSync } = await import('node:fs')
    const { launch } = await import(${JSON.stringify(module)})
    const [ainit, folder] = process.argv.slice(1)
    const open = []
    try {
      for (;;) open.push(openSync('/dev/null'))
    } catch {
      // One is left for the log.
      closeSync(open.pop())
    }
    const launched = launch(ainit, folder, [])
    const error = await launched.bound.catch((thrown) => thrown)
    await launched.ended
    for (const fd of open) closeSync(fd)
    console.log(error.reason, error.message)`
  const shell = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath]
  const child = spawn(
    '/bin/sh',
    [...shell, '--input-type=module', '-e', script, '--', AINIT, folder.path],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  assert.match(await text(child.stdout), /^START_FAILED .*EMFILE/)
})
