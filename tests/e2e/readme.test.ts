/** What README tells people to type works when it is typed, in an empty folder. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'

import { ROOT } from './harness.ts'
import { Shell } from './shell.ts'

const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8')

/** The `sh` blocks of a section. */
function blocksOf(title: string): readonly string[] {
  const [, rest = ''] = README.split(`\n## ${title}\n`)
  const [section = ''] = rest.split('\n## ')
  return Array.from(section.matchAll(/^```sh\n([^]*?)^```$/gm), ([, block = '']) => block)
}

test('the commands of "Your own application"', async () => {
  await using shell = await Shell.open()
  await symlink(path.join(ROOT, 'bin'), path.join(shell.folder, 'bin'))
  const blocks = blocksOf('Your own application')
  assert.ok(blocks.length > 0)
  const script = blocks.join('\n').replaceAll('8080', String(shell.port))
  const { status, stdout, stderr } = await shell.run(script)
  assert.equal(status, 0, stderr)
  assert.match(stdout, new RegExp(`^http://hello\\.localhost:${shell.port}/$`, 'm'))
  assert.match(stdout, /^Instance hello-1-\w{6}$/m)
  assert.match(stderr, /hello is removed/)
})
