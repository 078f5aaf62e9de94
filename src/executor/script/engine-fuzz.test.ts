/** A module that says it is the engine and means harm: whatever it passes, the host is not harmed, and the failure is a named one. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { RecordingWorld, LIMITS } from '../../../tests/fixtures/script.ts'
import { MEMORY_IMPORT } from '../module.ts'
import { explain } from '../run/failure.ts'

import { Engine } from './engine.ts'
import { runHostCall } from './host-calls.ts'
import { ScriptSession } from './session.ts'

const SEED = Number(process.env['QUIVER_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))
const ROUNDS = 3000
const LETTERS = 20
const ODD = [
  0,
  1,
  7,
  8,
  65_535,
  65_536,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fff8,
  0xffff_ffff,
  -1,
  NaN,
]

/** Deterministic, so that a failure can be tried again. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed >>> 0
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state
  }
}

/** `(module (import "quiver:memory" "memory" (memory 1)))`, which has none of the exports: they are played. */
const EMPTY_MODULE = Buffer.concat([
  Buffer.from('0061736d01000000', 'hex'),
  Buffer.from([2, 25, 1, 13]),
  Buffer.from(MEMORY_IMPORT.module),
  Buffer.from([6]),
  Buffer.from(MEMORY_IMPORT.name),
  Buffer.from([2, 0, 1]),
])

suite('an engine that means harm', () => {
  test(`is only ever ended, seed ${SEED}`, () => {
    const random = numbers(SEED)
    const odd = (): number => {
      const pick = random.next().value
      return pick % 3 === 0 ? (ODD[pick % ODD.length] ?? 0) : pick % 70_000
    }
    const { Instance } = WebAssembly
    // What the engine exports returns anything at all.
    class PlayedInstance {
      readonly exports = new Proxy(
        { __stack_pointer: { value: 0 } },
        {
          has: () => true,
          get: (target, name) =>
            name in target && name === '__stack_pointer' ? target[name] : odd,
        },
      )
    }
    Reflect.set(WebAssembly, 'Instance', PlayedInstance)
    try {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 })
      const module = new WebAssembly.Module(EMPTY_MODULE)
      for (let round = 0; round < ROUNDS; round++) {
        const session = new ScriptSession(new RecordingWorld(), LIMITS)
        const state = {
          runtime: odd(),
          context: odd(),
          stackPointer: 0,
          scratch: odd(),
          nothing: 1,
        }
        const engine = new Engine(module, memory, session, state)
        session.attach(engine)
        const letter = String.fromCharCode(65 + (random.next().value % LETTERS))
        try {
          runHostCall(session, engine, letter, [odd(), odd(), odd(), odd(), odd()])
        } catch (thrown) {
          assert.ok(explain(thrown).message.length > 0)
        } finally {
          session.stop()
        }
      }
    } finally {
      Reflect.set(WebAssembly, 'Instance', Instance)
    }
  })
})
