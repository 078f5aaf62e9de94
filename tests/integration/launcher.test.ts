/** `bin/quiver` before there is a Node.js to run it: what a machine without its libraries is told, and what mends it. */

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

const ROOT = path.join(import.meta.dirname, '../..')
const isRoot = process.getuid?.() === 0

/** On this machine, but with a libatomic that is empty, and an `apt-get` that writes down what it is told. */
async function runWithoutLibatomic(
  folder: string,
  args: readonly string[],
): Promise<{ readonly status: unknown; readonly stderr: string }> {
  const list = execFileSync('ldd', [process.execPath], { encoding: 'utf8' })
  const [, library = ''] = /libatomic\.so\.1 => (\S+)/.exec(list) ?? []
  const aptGet = path.join(folder, 'apt-get')
  writeFileSync(aptGet, `#!/bin/sh\necho "$@" >>'${folder}/told'\n`)
  chmodSync(aptGet, 0o755)
  const view = ['--dev-bind', '/', '/', '--ro-bind', '/dev/null', realpathSync(library)]
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}`, QUIVER_NODE: '' }
  return new Promise((resolve) => {
    const command = [...view, path.join(ROOT, 'bin/quiver'), ...args]
    execFile('bwrap', command, { env }, (error, _stdout, stderr) => {
      resolve({ status: error?.code ?? 0, stderr })
    })
  })
}

test('a machine without a library of Node.js is told which, and what installs it', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'quiver-launcher-'))
  try {
    const { status, stderr } = await runWithoutLibatomic(folder, ['version'])
    assert.equal(status, 69)
    assert.match(
      stderr,
      /^error: Node\.js does not start: .*libatomic\.so\.1.* \(NODE_UNUSABLE\)$/m,
    )
    assert.match(stderr, /^hint: Run "quiver doctor --fix" as root, or: .* libatomic1$/m)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('doctor --fix installs the library that it needs to run', { skip: !isRoot }, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'quiver-launcher-'))
  try {
    const { stderr } = await runWithoutLibatomic(folder, ['doctor', '--fix'])
    assert.match(stderr, /^> apt-get install -y --no-install-recommends libatomic1$/m)
    const told = readFileSync(path.join(folder, 'told'), 'utf8')
    assert.equal(told, 'update\ninstall -y --no-install-recommends libatomic1\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a QUIVER_NODE that is no program is named', async () => {
  const env = { ...process.env, QUIVER_NODE: '/nowhere/node' }
  const { promise, resolve } = Promise.withResolvers<string>()
  execFile(path.join(ROOT, 'bin/quiver'), ['version'], { env }, (_error, _stdout, stderr) => {
    resolve(stderr)
  })
  assert.match(await promise, /\/nowhere\/node is not a program \(NODE_UNUSABLE\)/)
})
