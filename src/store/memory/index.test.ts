import { testStore } from '../../../tests/conformance/store.ts'

import { openMemoryStore } from './index.ts'

testStore('memory', { open: async (options) => openMemoryStore(options) })
