/** Every example is complete: a manifest that is valid, and a short README whose commands are about it. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'

import { loadManifest } from '../../src/config/manifest.ts'

const EXAMPLES = path.join(import.meta.dirname, '../../examples')

suite('examples', () => {
  for (const name of readdirSync(EXAMPLES)) {
    test(name, async () => {
      const { manifest } = await loadManifest(path.join(EXAMPLES, name))
      assert.equal(manifest.name, name)
      assert.notEqual(manifest.title, undefined)

      const readme = readFileSync(path.join(EXAMPLES, name, 'README.md'), 'utf8')
      const lines = readme.split('\n')
      assert.equal(lines[0], `# ${name}`)
      assert.ok(lines.length <= 8, `${lines.length} lines`)
      assert.match(readme, new RegExp(`^ {4}quiver deploy .*examples/${name}\\b`, 'm'))
    })
  }
})
