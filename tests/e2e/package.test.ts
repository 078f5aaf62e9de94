/** The package as npm delivers it: packed, installed into an empty folder, used from there. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ROOT } from './harness.ts'
import { Shell } from './shell.ts'

test('what npm packs and installs builds its native parts, and serves an application', async () => {
  await using shell = await Shell.open()
  const pack = await shell.run(
    `cd '${ROOT}' && npm pack --silent --pack-destination '${shell.folder}'`,
  )
  assert.equal(pack.status, 0, pack.stderr)
  const archive = pack.stdout.trim().split('\n').at(-1) ?? ''
  const listed = await shell.run(`tar -tf ${archive}`)
  assert.doesNotMatch(
    listed.stdout,
    /package\/(src(?!\/guest\/bindings)|tests|native\/build)\/|\.test\./,
  )

  const installed = await shell.run(
    `npm install --silent --prefer-offline --no-audit --no-fund ./${archive}`,
  )
  assert.equal(installed.status, 0, installed.stderr)
  const { stdout: version } = await shell.run('npx quiver version')
  assert.match(archive, new RegExp(`-${version.trim()}\\.tgz$`))
  const doctor = await shell.run('npx quiver doctor --fix')
  assert.equal(doctor.status, 0, doctor.stderr)
  assert.match(doctor.stderr, /building native\/build\/ainit/)

  const used = await shell.run(`
    npx quiver up --detach
    trap 'npx quiver down' EXIT
    npx quiver new hello --template node
    npx quiver deploy hello
    curl -sS http://hello.localhost:${shell.port}/
    npx quiver exec hello -- sh -c 'exit 0'
    npx quiver logs hello
    npx quiver rm hello
    echo 'console.log(6 * 7)' | npx quiver run --isolation wasm js -
  `)
  assert.equal(used.status, 0, used.stderr)
  assert.match(used.stdout, new RegExp(`^http://hello\\.localhost:${shell.port}/$`, 'm'))
  assert.match(used.stdout, /hello/i)
  assert.match(used.stdout, /^42$/m)
})
