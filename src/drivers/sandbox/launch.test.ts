import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

import { temporaryFolder } from '../../../tests/fixtures/images.ts'
import { spec } from '../../../tests/fixtures/samples.ts'
import type { InstancePlan } from '../driver.ts'

import { openCgroups } from './cgroup.ts'
import type { SandboxHost } from './launch-plan.ts'
import { launch } from './launch.ts'

const plan: InstancePlan = {
  id: 'hello-1-aaaaaa',
  task: 'hello',
  revision: 1,
  spec,
  binaryTree: '/',
  imageTree: '/',
  entry: '/bin/true',
  env: {},
  uidIndex: 0,
  relays: [],
  mounts: [],
  wildcards: [],
  token: '0'.repeat(32),
  stdio: { isTerminal: false, isHeld: false, hasStdin: false },
  isRun: false,
}

const host: SandboxHost = {
  instancesFolder: '/nowhere',
  socketFolder: '/nowhere',
  ainitPath: '/no/such/ainit',
  etcFolder: '/nowhere',
  busyboxPath: null,
  bwrapPath: '/usr/bin/bwrap',
  egressFolder: '/nowhere',
  uidBase: null,
  streamGid: null,
}

/** No hierarchy is mounted: groups without folders. */
const cgroup = openCgroups('none', '').group(plan.id)

test('a program that cannot be started is an error, and an end', async () => {
  await using folder = await temporaryFolder()
  const launched = launch(plan, host, { folder: folder.path, socket: '/nowhere/s' }, cgroup)
  await assert.rejects(launched.bound, { reason: 'START_FAILED', message: /ENOENT/ })
  await launched.ended
})

test('without descriptors a launch fails, and control goes on', async () => {
  await using folder = await temporaryFolder()
  const module = path.join(import.meta.dirname, 'launch.ts')
  const cgroups = path.join(import.meta.dirname, 'cgroup.ts')
  const script = `
    const { closeSync, openSync } = await import('node:fs')
    const { launch } = await import(${JSON.stringify(module)})
    const { openCgroups } = await import(${JSON.stringify(cgroups)})
    const [plan, host, paths] = process.argv.slice(1).map((text) => JSON.parse(text))
    const open = []
    try {
      for (;;) open.push(openSync('/dev/null'))
    } catch {
      // One is left for the log.
      closeSync(open.pop())
    }
    const launched = launch(plan, host, paths, openCgroups('none', '').group(plan.id))
    const error = await launched.bound.catch((thrown) => thrown)
    await launched.ended
    for (const fd of open) closeSync(fd)
    console.log(error.reason, error.message)`
  const args = [plan, host, { folder: folder.path, socket: '/nowhere/s' }].map((value) =>
    JSON.stringify(value),
  )
  const shell = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath]
  const child = spawn('/bin/sh', [...shell, '--input-type=module', '-e', script, '--', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  assert.match(await text(child.stdout), /^START_FAILED .*EMFILE/)
})
