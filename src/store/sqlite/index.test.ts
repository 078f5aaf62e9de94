import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'

import { testStore } from '../../../tests/conformance/store.ts'

import { openSqliteStore } from './index.ts'

const folder = await mkdtemp(path.join(tmpdir(), 'quiver-store-'))
let count = 0

after(async () => rm(folder, { recursive: true }))

testStore('sqlite', {
  open: async (options) => openSqliteStore(path.join(folder, `${++count}`, 'state.db'), options),
})
