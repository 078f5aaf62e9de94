import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fakeHost } from '../../../tests/fixtures/guest-host.ts'
import { QuiverError } from '../../core/error.ts'
import { GUEST_FUNCTIONS } from '../../guest/functions.ts'
import { trapReason } from '../trap.ts'

import { MY_OWN_CLUSTER_FUNCTIONS } from './my-own-cluster.ts'
import { OUTGOING_FUNCTIONS } from './outgoing.ts'
import { QUIVER_FUNCTIONS } from './quiver.ts'
import { GuestError, HostSession } from './session.ts'

const ROUNDS = Number(process.env['QUIVER_FUZZ_ROUNDS'] ?? 20_000)
const SEED = Number(process.env['QUIVER_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const CALLS_PER_GUEST = 50
const LIMITS = {
  buffersMax: 4,
  bufferBytesMax: 200_000,
  outputBytesMax: 100_000,
  callsPerSecondMax: 1e9,
}

const functions = { ...QUIVER_FUNCTIONS, ...OUTGOING_FUNCTIONS, ...MY_OWN_CLUSTER_FUNCTIONS }

test(`any numbers give a result or end the guest (QUIVER_FUZZ_SEED=${SEED})`, async () => {
  const random = randomFrom(SEED)
  for (let round = 0; round < ROUNDS; round += CALLS_PER_GUEST) {
    await runGuest(random)
  }
})

async function runGuest(random: (below: number) => number): Promise<void> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 })
  const bytes = new Uint8Array(memory.buffer)
  for (let index = 0; index < 512; index++) bytes[index] = random(256)
  bytes.set(Buffer.from('GET http://a.example/ up content-type'), 600)
  const answered = { status: 200, rawHeaders: ['a', 'b'], body: Buffer.alloc(random(50_000)) }
  const refused = new QuiverError('unavailable', 'X', 'x')
  const host = fakeHost({
    limits: LIMITS,
    answer: () => (random(2) === 0 ? Promise.resolve(answered) : Promise.reject(refused)),
  })
  const session = new HostSession(host)
  session.attach(memory)
  for (let call = 0; call < CALLS_PER_GUEST; call++) {
    const chosen = GUEST_FUNCTIONS[random(GUEST_FUNCTIONS.length)]
    const run = functions[chosen?.name ?? '']
    assert.ok(run !== undefined)
    const [a, b, c, d, e, f, g] = Array.from({ length: 7 }, () => argument(random, session))
    const args = [a ?? 0, b ?? 0, c ?? 0, d ?? 0, e ?? 0, f ?? 0, g ?? 0] as const
    try {
      const result = await run(session, ...args)
      const hasResult = (chosen?.results.length ?? 0) > 0
      assert.equal(typeof result, hasResult ? typeOf(chosen?.results[0]) : 'undefined')
    } catch (thrown) {
      if (thrown instanceof GuestError) continue
      assert.ok(
        trapReason(thrown) !== undefined,
        `seed ${SEED}, ${chosen?.name}: ${String(thrown)}`,
      )
      return
    }
  }
}

function typeOf(result: string | undefined): string {
  return result === 'i64' ? 'bigint' : 'number'
}

/** Numbers as guests pass them: mostly small, sometimes at the edges, sometimes the id of a buffer. */
function argument(random: (below: number) => number, session: HostSession): number {
  const kind = random(8)
  if (kind < 3) return random(64)
  if (kind < 5) return 600 + random(40)
  if (kind === 5) return session.inputId + random(8)
  const edges = [-1, 0x7fff_ffff, -0x8000_0000, 65_535, 65_536, 65_537, 0, random(2 ** 31) | 0]
  return edges[random(edges.length)] ?? 0
}

/** xorshift32. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
