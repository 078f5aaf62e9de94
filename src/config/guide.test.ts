import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'

import { QuiverError } from '../core/error.ts'

import { parseDotenv } from './dotenv.ts'
import { parseManifest } from './manifest.ts'
import { resolveConfigs, resolveManifest } from './resolve.ts'

const GUIDE = path.join(import.meta.dirname, '../../docs/guides/manifest.md')
const text = await readFile(GUIDE, 'utf8')

suite('docs/guides/manifest.md', () => {
  const manifests = blocksOf('toml')

  test('has examples', () => assert.ok(manifests.length >= 5))

  for (const [index, manifest] of manifests.entries()) {
    test(`example ${index + 1} is a valid manifest`, () => {
      const parsed = parseManifest(manifest)
      resolveManifest(parsed)
      resolveConfigs(parsed)
    })
  }

  test('its .env file is read', () => {
    const [dotenv = ''] = blocksOf('sh')
    assert.equal(parseDotenv({ path: '.env', text: dotenv })['GREETING'], 'hello\nworld')
  })

  test('its error is the one that is shown', () => {
    const broken = 'name = "x"\nruntime = "node"\n\n[limits]\nmemroy = "128MiB"\n'
    const [shown] = blocksOf('text')
    assert.throws(() => parseManifest(broken), { message: shown })
  })
})

test('a manifest with a character changed is read or refused with a place, never a crash', () => {
  for (const manifest of blocksOf('toml')) {
    for (let index = 0; index < manifest.length; index += 3) {
      for (const replacement of ['', '"', '[', '\n', '9']) {
        const changed = manifest.slice(0, index) + replacement + manifest.slice(index + 1)
        assertReadOrRefused(changed)
      }
    }
  }
})

function assertReadOrRefused(manifest: string): void {
  try {
    parseManifest(manifest)
  } catch (thrown) {
    assert.ok(thrown instanceof QuiverError, String(thrown))
    assert.match(thrown.reason, /^(MANIFEST_INVALID|NOT_YET)$/)
    assert.match(thrown.message, /^quiver\.toml:\d+:\d+: /m)
  }
}

function blocksOf(language: string): readonly string[] {
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))
  return Array.from(blocks, ([, block = '']) => block)
}
