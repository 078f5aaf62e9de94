import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

import { ECHO } from '../../../tests/fixtures/component-texts.ts'
import { compileComponent, WHOLE_WASI } from '../../../tests/fixtures/component.ts'
import { QuiverError } from '../../core/error.ts'

import { planComponent } from './link.ts'

const ROUNDS = Number(process.env['QUIVER_FUZZ_ROUNDS'] ?? 4000)
const SEED = Number(process.env['QUIVER_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const BYTES_CHANGED_MAX = 4

/** Numbers from 0 to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state / 2 ** 32
  }
}

function damage(bytes: Uint8Array, random: () => number): Uint8Array {
  const damaged = Uint8Array.from(bytes)
  const changes = 1 + Math.floor(random() * BYTES_CHANGED_MAX)
  for (let change = 0; change < changes; change++) {
    damaged[Math.floor(random() * damaged.length)] = random() < 0.3 ? 255 : random() * 256
  }
  return random() < 0.1 ? damaged.subarray(0, random() * damaged.length) : damaged
}

test(`a damaged component is planned or refused, and nothing else (seed ${SEED})`, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-component-fuzz-'))
  try {
    const random = randomFrom(SEED)
    const samples = [await compileComponent(ECHO, 'echo', folder), await readFile(WHOLE_WASI)]
    let refused = 0
    for (let round = 0; round < ROUNDS; round++) {
      const sample = samples[round % samples.length]
      assert(sample !== undefined)
      try {
        planComponent(damage(sample, random))
      } catch (thrown) {
        assert(thrown instanceof QuiverError, `round ${round}: ${String(thrown)}`)
        refused++
      }
    }
    assert(refused > ROUNDS / 10, `only ${refused} were refused`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
