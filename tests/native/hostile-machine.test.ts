/**
 * The host's side of a virtual machine, with a program in the machine's place that keeps to no rule. Built with sanitizers: what
 * they find is on its standard error. Set AINIT_FUZZ_SEED to replay a failure.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { findPid1, Workshop, type Instance } from './harness.ts'
import { MachineWorkshop } from './machine.ts'
import { randomFrom } from './mutation.ts'
import { Streams } from './stream-client.ts'

const workshop = new Workshop({ isSanitized: true })
after(() => workshop[Symbol.dispose]())
const machines = new MachineWorkshop(workshop)
const program = path.join(workshop.folder, 'hostile-machine')
execFileSync(process.env['CC'] ?? 'cc', [
  ...'-std=gnu11 -O1 -static -o'.split(' '),
  program,
  path.join(import.meta.dirname, 'hostile-machine.c'),
])

const SEED = Number(process.env['AINIT_FUZZ_SEED'] ?? 20_261_121)

type Records = readonly (readonly [string, string])[]

async function start(args: readonly string[], records: Records = []): Promise<Instance> {
  return await machines.start({ args: ['/none'], monitor: [program, ...args], records })
}

/** How it ended: its exit report, which is there whatever happened. */
async function ended(instance: Instance): Promise<string> {
  assert.equal(await instance.ended, 127)
  assert.doesNotMatch(instance.launchLog, /Sanitizer|runtime error/)
  const report = instance.readOut('exit').toString()
  assert.match(report, /^error t=\d+ step=\w+ errno=\d+ wall=\d+\.\d{3} text=.+\n$/)
  return report
}

function frame(channel: number, type: number, payload: Uint8Array | string = ''): string {
  const bytes = Buffer.from(payload)
  const header = Buffer.alloc(8)
  header.writeUInt32LE(channel, 0)
  header.writeUInt16LE(bytes.length, 4)
  header.writeUInt8(type, 6)
  return Buffer.concat([header, bytes]).toString('hex')
}

const HELLO = frame(0, 16, Buffer.of(1, 0, 0, 0))
const RELAY = Buffer.from('\x03\xbb\x01a.b', 'latin1')
const credit = (bytes: number): Buffer => {
  const payload = Buffer.alloc(4)
  payload.writeUInt32LE(bytes)
  return payload
}

suite('ainit: a machine that breaks rules ends with the rule', () => {
  const cases: readonly [what: string, frames: string, text: RegExp][] = [
    ['a length beyond the longest', '0000000001401000', /too long/],
    ['something in the reserve', '0000000000001001', /too long/],
    ['a greeting of nothing', frame(0, 16), /greeting/],
    ['a greeting twice', HELLO + HELLO, /greeting/],
    ['another version', frame(0, 16, Buffer.of(2, 0, 0, 0)), /another version/],
    ['an unknown message', HELLO + frame(0, 99), /unknown message/],
    ['an unknown frame', HELLO + frame(2, 8), /unknown frame/],
    ['a frame of type 0', HELLO + frame(2, 0), /unknown frame/],
    ['data of channel 0', HELLO + frame(0, 4, 'x'), /unknown message/],
    ['a channel of the host', HELLO + frame(3, 1, RELAY), /not its own/],
    ['a channel twice', HELLO + frame(2, 1, RELAY) + frame(2, 1, RELAY), /not its own/],
    ['channel 0 opened', HELLO + frame(0, 1, RELAY), /unknown message/],
    ['an answer to what it asked itself', HELLO + frame(2, 1, RELAY) + frame(2, 2), /not asked/],
    ['an empty piece of data', HELLO + frame(2, 1, RELAY) + frame(2, 4), /more than it may/],
    [
      'data behind its end',
      HELLO + frame(2, 1, RELAY) + frame(2, 5) + frame(2, 4, 'x'),
      /behind the end/,
    ],
    ['two ends', HELLO + frame(2, 1, RELAY) + frame(2, 5) + frame(2, 5), /ended twice/],
    ['an end with a payload', HELLO + frame(2, 1, RELAY) + frame(2, 5, 'x'), /unknown frame/],
    [
      'credit without end',
      HELLO + frame(2, 1, RELAY) + frame(2, 7, credit(0xffffffff)),
      /more credit/,
    ],
    ['credit of three bytes', HELLO + frame(2, 1, RELAY) + frame(2, 7, 'xyz'), /unknown frame/],
    ['output of no stream', HELLO + frame(0, 18, Buffer.of(4, 65)), /no stream/],
    ['output of nothing', HELLO + frame(0, 18), /no stream/],
    ['an end that says nothing', HELLO + frame(0, 19, 'exit t=1 status=x\n'), /cannot be read/],
    [
      'a status beyond 255',
      HELLO + frame(0, 19, 'exit t=1 status=256 signal=0\n'),
      /cannot be read/,
    ],
    [
      'an end that is too long',
      HELLO + frame(0, 19, 'exit t=1 status=0 '.padEnd(1000)),
      /not expected/,
    ],
    ['an end before the task', frame(0, 19, 'exit t=1 status=0 signal=0 core=0\n'), /not expected/],
    ['a farewell too early', HELLO + frame(0, 25), /farewell/],
    ['standing still unasked', HELLO + frame(0, 23), /unasked/],
  ]
  for (const [what, frames, expected] of cases) {
    test(what, async () => {
      await using instance = await start(['hex', frames])
      const report = await ended(instance)
      assert.match(report, /step=channel errno=71 /)
      assert.match(report, expected)
    })
  }
})

suite('ainit: a machine', () => {
  test('that breaks one is not heard any more: neither what it says behind it, nor where it wants to go', async () => {
    const behind = frame(0, 18, '\x01heard') + frame(2, 1, Buffer.of(5))
    const frames = HELLO + frame(0, 18, '\x01before') + frame(0, 99) + behind
    await using instance = await start(['hex', frames], [['core_bytes', '1000']])
    assert.match(await ended(instance), /unknown message/)
    const log = instance.readOut('log').toString()
    assert.match(log, /before/)
    assert.doesNotMatch(log, /heard|core dump/)
  })

  test('that is never heard of ends in time', async () => {
    await using instance = await start(['silent'], [['boot_ms', '200']])
    assert.match(await ended(instance), /step=boot errno=110 .*nothing was heard/)
  })

  for (const [how, expected] of [
    ['exit', /step=machine .*exited with status 9\): the last line\n$/],
    ['kill', /step=machine .*ended by signal 9\)/],
    ['close', /step=channel errno=32 .*closed its channel/],
  ] as const) {
    test(`whose monitor does "${how}" is an error that says so`, async () => {
      await using instance = await start([how])
      assert.match(await ended(instance), expected)
    })
  }

  test('whose monitor is not there is an error that names it', async () => {
    await using instance = await machines.start({ args: ['/none'], monitor: ['/nowhere/qemu'] })
    assert.match(await ended(instance), /step=machine errno=2 .*\/nowhere\/qemu/)
  })

  test('that ends as it should is believed, and ends with the status it told', async () => {
    const told = 'exit t=5 status=42 signal=0 core=0 wall=1.000\x1b[2J\n'
    await using instance = await start(['then', frame(0, 19, told) + frame(0, 25)])
    assert.equal(await instance.ended, 42)
    const report = instance.readOut('exit').toString()
    assert.equal(report, 'exit t=5 status=42 signal=0 core=0 wall=1.000 [2J\n')
  })

  test('that tells its end and goes on is ended, with the status it told', async () => {
    await using instance = await start([
      'then',
      frame(0, 19, 'exit t=5 status=3 signal=0 core=0\n'),
    ])
    assert.equal(await instance.ended, 3)
  })

  test('that floods its console fills neither the log nor memory', async () => {
    await using instance = await start(['console'])
    assert.match(await ended(instance), /step=machine .*line 299999 of a flood/)
    assert.ok(instance.readOut('log').length < 1_000_000, 'the log holds the flood')
  })

  test('that answers nobody is left by its clients when it ends', async () => {
    await using instance = await start(['then', ''])
    using streams = new Streams(instance)
    streams.send(1, 80)
    const watch = await instance.watch()
    while (findPid1(instance.pid) === undefined) await new Promise(setImmediate)
    instance.killPid1()
    await assert.rejects(streams.receive(), { code: 'ECONNRESET' })
    assert.equal(await watch.next(), undefined)
  })

  test('that opens without end is stopped', async () => {
    await using instance = await start(['flood', 'opens'])
    // Those for which there is no place are refused; more than any machine may have never come to be.
    const timer = setTimeout(() => instance.killPid1(), 1000)
    await instance.ended
    clearTimeout(timer)
    assert.doesNotMatch(instance.launchLog, /Sanitizer|runtime error/)
  })

  for (const [what, expected] of [
    ['opens, deaf', /step=channel .*does not read/],
    ['refusals, deaf', /step=channel .*does not read/],
    ['resets, deaf', /step=channel .*does not read/],
    ['data', /step=channel .*more than it may/],
  ] as const) {
    test(`that floods the host with ${what} is ended`, async () => {
      await using instance = await start(['flood', what])
      assert.match(await ended(instance), expected)
    })
  }

  test('that floods the log keeps within its bound', async () => {
    await using instance = await start(['flood', 'logs'], [['log_bytes', '65536']])
    const deadline = AbortSignal.timeout(20_000)
    while (instance.readOut('log.1').length === 0 && !deadline.aborted)
      await new Promise(setImmediate)
    instance.killPid1()
    await instance.ended
    assert.ok(instance.readOut('log').length <= 32_768)
    assert.ok(instance.readOut('log.1').length <= 32_768)
    assert.doesNotMatch(instance.launchLog, /Sanitizer|runtime error/)
  })

  test(`that speaks at random breaks nothing (seed ${SEED})`, async () => {
    const random = randomFrom(SEED)
    for (let run = 0; run < 25; run++) {
      const seed = random()
      await using instance = await start(
        ['random', String(seed)],
        [
          ['lend', '/bin/busybox'],
          ['core_bytes', '100000'],
        ],
      )
      // Channels of the host's, to which anything may be answered.
      using streams = new Streams(instance)
      for (let id = 0; id < 20; id++) streams.send(id, 80)
      await instance.watch().catch(() => {}) // it may have ended already
      assert.match(await ended(instance), /step=(?:channel|machine)/, `seed ${seed}`)
    }
  })
})
