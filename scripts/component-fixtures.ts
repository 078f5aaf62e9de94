/** Makes the components of tests/fixtures/components from their text form beside them. Needs what "scripts/test guests" installs. */

import { readdir } from 'node:fs/promises'
import path from 'node:path'

import { parseComponent } from '../tests/fixtures/component-toolchains.ts'

const FOLDER = path.join(import.meta.dirname, '../tests/fixtures/components')

const texts = (await readdir(FOLDER)).filter((name) => name.endsWith('.wat'))
await Promise.all(
  texts.map(async (name) => {
    const source = path.join(FOLDER, name)
    await parseComponent(source, source.replace(/wat$/, 'wasm'))
  }),
)
