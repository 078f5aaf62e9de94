import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'

import { parse } from 'smol-toml'

import {
  buildManifestReference,
  buildManifestSchema,
  buildNodeReference,
  listSections,
} from './reference.ts'

const ROOT = path.join(import.meta.dirname, '../..')

suite('generated files are what "npm run generate" writes', () => {
  const files: readonly [file: string, build: () => string][] = [
    ['schema/quiver.json', buildManifestSchema],
    ['docs/reference/manifest.md', buildManifestReference],
    ['docs/reference/node.md', buildNodeReference],
  ]
  for (const [file, build] of files) {
    test(file, async () => {
      assert.equal(await readFile(path.join(ROOT, file), 'utf8'), build())
    })
  }
})

test('every key says what it means, and what to write', () => {
  for (const { name, keys } of listSections()) {
    for (const key of keys) {
      const text = key.default ?? key.example
      assert.match(key.meaning, /^[A-Z`/].*[.]$/, `${name}.${key.name}`)
      assert.ok(
        text !== undefined || key.type.startsWith('`') || / to /.test(key.type),
        `${name}.${key.name} has no example`,
      )
      if (text !== undefined) parse(`${key.name} = ${text}`)
    }
  }
})

test('the JSON Schema knows required keys, defaults and ranges, and refuses others', () => {
  const schema = JSON.parse(buildManifestSchema())
  assert.deepEqual(schema.required, ['name'])
  assert.equal(schema.additionalProperties, false)
  assert.equal(schema.properties.limits.properties.memory.default, '256MiB')
  assert.equal(schema.properties.http.properties.port.maximum, 65_535)
  assert.deepEqual(schema.properties.connect.items.required, ['task'])
})
