import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

import { inspectModule } from '../inspect.ts'

const FOLDER = path.join(import.meta.dirname, '../../../tests/fixtures/components')
const DEMAND = {
  entry: null,
  memoryBytes: 64 * 1024 * 1024,
  isReused: false,
  isRun: false,
}

async function inspect(name: string) {
  const bytes = Uint8Array.from(readFileSync(path.join(FOLDER, `${name}.wasm`)))
  return await inspectModule(bytes, DEMAND, false)
}

test('components that are linked inside another one are one component', async () => {
  const { kind, exports } = await inspect('composed')
  assert.equal(kind, 'component')
  assert.deepEqual(
    exports.map(({ name, signature }) => `${name}${signature}`),
    [
      'loud(string) -> string',
      'count(u32) -> u32',
      'use-dropped() -> u32',
      'swap(tuple<u32, u32>) -> tuple<u32, u32>',
    ],
  )
})

test('functions of interfaces are listed under the name of theirs', async () => {
  const { exports } = await inspect('library')
  assert.ok(exports.some(({ name }) => name === 'local:numbers/math#plus'))
})

const MISSING: readonly (readonly [name: string, what: string, message: RegExp])[] = [
  ['missing-instance', 'an interface', /nobody offers what .*: "local:texts\/change@1.0.0"$/],
  ['missing-function', 'a function', /nobody offers what .*: "roll-dice"$/],
  ['missing-component', 'a component', /nobody offers what .*: "plugin"$/],
]
for (const [name, what, message] of MISSING) {
  test(`${what} that nobody gives it is named`, async () => {
    await assert.rejects(inspect(name), { reason: 'MODULE_IMPORTS_UNKNOWN', message })
  })
}
