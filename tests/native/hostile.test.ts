/**
 * Control and stream sockets under frames that no friend sends. Set AINIT_FUZZ_SEED to replay a failure.
 */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, suite, test } from 'node:test'

import { encodeFrame, encodeRecords, FRAME } from '../../src/core/frames.ts'

import { Instance, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

const SEED = Number(process.env['AINIT_FUZZ_SEED'] ?? 20_261_121)
const CONNECTIONS = 1000
const FRAMES_PER_CONNECTION = 12

/** mulberry32: small, and the same everywhere. */
function createRandom(seed: number): (end: number) => number {
  let state = seed >>> 0
  return (end) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end
  }
}

type Random = ReturnType<typeof createRandom>

function randomBytes(random: Random, lengthMax: number): Buffer {
  return Buffer.from(Array.from({ length: random(lengthMax + 1) }, () => random(256)))
}

const RECORDS = [
  [
    ['program', '/bin/true'],
    ['arg', 'true'],
  ],
  [
    ['program', '/bin/cat'],
    ['arg', 'cat'],
    ['terminal', '1:1'],
  ],
  [
    ['lend', '1'],
    ['arg', 'sh'],
  ],
  [
    ['program', ''],
    ['arg', ''],
  ],
  [
    ['program', '/bin/echo'],
    ['arg', 'x'.repeat(3000)],
    ['env', '='],
    ['workdir', '/proc/self/fd'],
  ],
  [
    ['terminal', '99999:1'],
    ['program', '/bin/true'],
    ['arg', ''],
  ],
] as const

/** A frame that is right, nearly right, or noise. It never signals the task with what would end it. */
function randomFrame(random: Random): Buffer {
  const type = random(12)
  const exec = encodeRecords(RECORDS[random(RECORDS.length)] ?? [])
  const payload =
    type === FRAME.EXEC && random(4) > 0 ? exec : randomBytes(random, random(8) === 0 ? 70 : 6)
  const frame = encodeFrame(type === FRAME.SIGNAL ? FRAME.RESIZE : type, payload)
  if (random(4) === 0 && frame.length > 0) frame[random(frame.length)] = random(256)
  // A mutation may have made a signal of it.
  if (frame[4] === FRAME.SIGNAL) frame[4] = FRAME.STDIN
  if (random(40) === 0) frame.writeUInt32LE(0xffff_fff0 + random(15), 0)
  if (random(20) === 0) return frame.subarray(0, random(frame.length))
  return frame
}

async function assertAnswers(instance: Instance): Promise<void> {
  const watch = await instance.watch()
  assert.match(await watch.event('init'), /^init t=\d+$/)
  assert.match(await watch.event('exec'), /^exec/)
  watch.close()
  await watch.closed
}

suite('ainit: hostile clients', () => {
  test(`survives ${CONNECTIONS * FRAMES_PER_CONNECTION} frames of noise (seed ${SEED})`, async (context) => {
    context.diagnostic(`AINIT_FUZZ_SEED=${SEED}`)
    const random = createRandom(SEED)
    await using instance = await Instance.start(workshop, { records: [['stdin', '1']] })
    await assertAnswers(instance)
    for (let round = 0; round < CONNECTIONS; round++) {
      const socket = connect(`${instance.socketPrefix}.c`)
      socket.on('error', () => {})
      socket.resume()
      // A length far beyond the bound closes the connection under our writes; that is an answer too.
      for (let count = 0; count < FRAMES_PER_CONNECTION; count++) socket.write(randomFrame(random))
      const closed = new Promise((done) => socket.once('close', done))
      if (random(2) === 0) socket.end()
      else socket.destroySoon()
      await closed
    }
    await assertAnswers(instance)
  })

  const malformed = [
    ['a length beyond the bound', Buffer.from([1, 0, 1, 0, FRAME.STDIN])],
    ['an unknown type', encodeFrame(200)],
    ['type 0', encodeFrame(0)],
    ['a WATCH with a payload', encodeFrame(FRAME.WATCH, 'x')],
    ['a short SIGNAL', encodeFrame(FRAME.SIGNAL, 'x')],
    ['an ATTACH of a third kind', encodeFrame(FRAME.ATTACH, Uint8Array.of(2))],
    ['an answer as a request', encodeFrame(FRAME.EXIT, Buffer.alloc(4))],
  ] as const
  test('a malformed frame closes that connection and nothing else', async () => {
    await using instance = await Instance.start(workshop)
    const watch = await instance.watch()
    await watch.event('exec')
    for (const [title, bytes] of malformed) {
      const connection = await instance.connect(bytes)
      assert.equal(await connection.next(), undefined, title)
    }
    assert.equal(watch.socket.destroyed, false)
    await assertAnswers(instance)
  })

  test('requests that make no sense are answered with their errno', async () => {
    await using instance = await Instance.start(workshop)
    const cases = [
      [[['program', '/bin/true']], 22],
      [[['arg', 'x']], 22],
      [
        [
          ['program', '/bin/true'],
          ['lend', '1'],
          ['arg', 'x'],
        ],
        22,
      ],
      [
        [
          ['colour', 'red'],
          ['program', '/bin/true'],
          ['arg', 'x'],
        ],
        22,
      ],
      [
        [
          ['program', '/bin/true'],
          ['arg', 'x'],
          ['terminal', 'big'],
        ],
        22,
      ],
    ] as const
    for (const [records, errno] of cases) {
      const connection = await instance.connect(encodeFrame(FRAME.EXEC, encodeRecords(records)))
      assert.match((await connection.finish()).error ?? '', new RegExp(`^errno=${errno} text=`))
    }
    const noRecords = await instance.connect(encodeFrame(FRAME.EXEC, 'no record'))
    assert.match((await noRecords.finish()).error ?? '', /^errno=22 /)
  })

  test('a client that never reads its errors is left alone, and the others are served', async () => {
    await using instance = await Instance.start(workshop)
    const silent = await instance.connect()
    silent.socket.pause()
    const frames = Buffer.concat(
      Array.from({ length: 10_000 }, () => encodeFrame(FRAME.EXEC, 'no record')),
    )
    for (let count = 0; count < 4; count++) silent.socket.write(frames)
    await assertAnswers(instance)
    silent.socket.resume()
    for (let count = 0; count < 40_000; count++)
      assert.equal((await silent.next())?.type, FRAME.ERROR)
  })

  test('more connections than there is room for wait until one closes', async () => {
    await using instance = await Instance.start(workshop)
    const connections = await Promise.all(Array.from({ length: 64 }, () => instance.watch()))
    for (const connection of connections) await connection.event('exec')
    const waiting = await instance.watch()
    connections[0]?.close()
    await waiting.event('exec')
  })

  test('frames cut anywhere are the same frames', async () => {
    await using instance = await Instance.start(workshop)
    const payload = encodeRecords([
      ['program', '/bin/cat'],
      ['arg', 'cat'],
    ])
    const bytes = Buffer.concat([
      encodeFrame(FRAME.EXEC, payload),
      encodeFrame(FRAME.STDIN, 'whole'),
      encodeFrame(FRAME.STDIN_EOF),
    ])
    const connection = await instance.connect()
    connection.socket.setNoDelay(true)
    for (const byte of bytes) {
      await new Promise((done) => connection.socket.write(Uint8Array.of(byte), done))
    }
    assert.equal((await connection.finish()).stdout, 'whole')
  })
})
