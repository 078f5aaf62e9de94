/** What README and the guides tell people to type works when it is typed, in an empty folder. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'

import { ROOT } from './harness.ts'
import { Shell } from './shell.ts'

/** The `sh` blocks of a document as one script, for a node on `port`. */
function scriptOf(document: string, port: number): string {
  const blocks = Array.from(document.matchAll(/^```sh\n([^]*?)^```$/gm), ([, block]) => block)
  assert.ok(blocks.length > 0)
  return blocks.join('\n').replaceAll(':8080/', `:${port}/`)
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8')
}

test('README.md, "Your own application"', async () => {
  await using shell = await Shell.open()
  await symlink(path.join(ROOT, 'bin'), path.join(shell.folder, 'bin'))
  const [, rest = ''] = read('README.md').split('\n## Your own application\n')
  const [section = ''] = rest.split('\n## ')
  const { status, stdout, stderr } = await shell.run(scriptOf(section, shell.port))
  assert.equal(status, 0, stderr)
  assert.match(stdout, new RegExp(`^http://hello\\.localhost:${shell.port}/$`, 'm'))
  assert.match(stdout, /^Instance hello-1-\w{6}$/m)
  assert.match(stderr, /hello is removed/)
  // Elsewhere than the README's reader, whose data folder is the usual one.
  assert.match(stderr, /^Stop it with "quiver down --data \/.*"\.$/m)
})

/** Guides whose commands make sense one after the other, and what they print. */
const GUIDES: Readonly<Record<string, RegExp>> = {
  'getting-started': /hello from[^]*good morning from[^]*hello from/,
  wasm: /MADE LARGER/,
  networking: /^42 for counter$/m,
  operations: /^Health +(good|overloaded)$/m,
  troubleshooting: /^Health +(good|overloaded)$/m,
}

for (const [guide, expected] of Object.entries(GUIDES)) {
  test(`docs/guides/${guide}.md`, async () => {
    await using shell = await Shell.open()
    const commands = scriptOf(read(`docs/guides/${guide}.md`), shell.port)
    const { status, stdout, stderr } = await shell.run(`
      PATH='${path.join(ROOT, 'bin')}':$PATH
      quiver up --detach
      trap 'quiver down' EXIT
      ${commands}
    `)
    assert.equal(status, 0, stderr)
    assert.match(stdout, expected)
  })
}
