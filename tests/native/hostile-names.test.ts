/**
 * The name server of PID 1 under questions that no friend asks. Set AINIT_FUZZ_SEED to replay a failure.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { addressOf, ask, COVERED_ADDRESS, encodeName, NAME_RECORDS, query } from './dns.ts'
import { Instance, Workshop } from './harness.ts'
import { mutate, randomFrom } from './mutation.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

const SEED = Number(process.env['AINIT_FUZZ_SEED'] ?? 20_261_121)

async function start(): Promise<Instance> {
  const instance = await Instance.start(workshop, { records: NAME_RECORDS })
  const watch = await instance.watch()
  await watch.event('exec')
  watch.close()
  return instance
}

suite('ainit: hostile questions', () => {
  const answers: readonly [what: string, message: string, code: number | undefined][] = [
    ['nothing', '', undefined],
    ['half a header', '000101000001', undefined],
    ['an answer', query('a.example.com', { flags: 0x8100 }), undefined],
    ['a header alone', query('').slice(0, 24), 1],
    ['a question cut off in its name', query('a.example.com').slice(0, 32), 1],
    ['a question cut off in its type', query('a.example.com').slice(0, -2), 1],
    ['no question', query('a.example.com', { counts: [0, 0, 0, 0] }), 1],
    ['two questions', query('a.example.com', { counts: [2, 0, 0, 0] }), 1],
    ['65,535 questions', query('a.example.com', { counts: [65_535, 65_535, 65_535, 65_535] }), 1],
    ['more answers than there are bytes', query('a.example.com', { counts: [1, 65_535, 9, 9] }), 0],
    ['a name that points to itself', query(Buffer.of(0xc0, 12)), 1],
    ['a name that points to the header', query(Buffer.of(1, 97, 0xc0, 0)), 1],
    [
      'a label of 64 bytes',
      query(Buffer.concat([Buffer.of(64), Buffer.alloc(64, 97), Buffer.of(0)])),
      1,
    ],
    ['a name of 256 bytes', query(`${'a'.repeat(63)}.`.repeat(4)), 1],
    [
      'a name of 254 bytes that is covered',
      query(`${`${'a'.repeat(61)}.`.repeat(3)}${'b'.repeat(56)}.example.com`),
      1,
    ],
    [
      'a name of 253 bytes that is covered',
      query(`${`${'a'.repeat(61)}.`.repeat(3)}${'b'.repeat(55)}.example.com`),
      0,
    ],
    ['a space in a label', query('a b.example.com'), 3],
    ['a line in a label', query('a\n.example.com'), 3],
    [
      'a dot in a label',
      query(Buffer.concat([Buffer.of(3), Buffer.from('a.b'), encodeName('example.com')])),
      3,
    ],
    [
      'a zero in a label',
      query(Buffer.concat([Buffer.of(2, 97, 0), encodeName('example.com')])),
      3,
    ],
    ['the star itself', query('*.example.com'), 3],
    ['another class', query('a.example.com', { class: 3 }), 5],
    ['an update', query('a.example.com', { flags: 0x2800 }), 4],
    [
      'options of EDNS',
      query('a.example.com', {
        counts: [1, 0, 0, 1],
        tail: Buffer.from('0000291000000000000000', 'hex'),
      }),
      0,
    ],
    ['a datagram of 4,000 bytes', query('a.example.com', { tail: Buffer.alloc(3900, 255) }), 0],
  ]

  test('are answered with their code, or not at all', async () => {
    await using instance = await start()
    const seen = await ask(
      instance,
      answers.map(([, message]) => message),
    )
    assert.deepEqual(
      answers.map(([what], index) => [what, seen[index]?.code]),
      answers.map(([what, , code]) => [what, code]),
    )
  })

  test(`3,000 broken ones leave it serving (seed ${SEED})`, async () => {
    await using instance = await start()
    const random = randomFrom(SEED)
    const seeds = answers
      .map(([, message]) => Buffer.from(message, 'hex'))
      .filter(({ length }) => length > 12)
    const broken = Array.from({ length: 3000 }, () => {
      const bytes = Buffer.from(mutate(seeds[random() % seeds.length] ?? Buffer.alloc(12), random))
      // The sentinel is known by its first bytes.
      if (bytes.length >= 2) bytes.writeUInt16BE(1, 0)
      return bytes.subarray(0, 3000).toString('hex')
    })
    assert.equal((await ask(instance, broken)).length, broken.length)
    assert.match(await addressOf(instance, 'a.example.com'), COVERED_ADDRESS)
  })

  test(`a million broken ones stay within bounds, as the sanitizers see it (seed ${SEED})`, () => {
    const program = path.join(workshop.folder, 'dns-fuzz')
    const flags = '-std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all'.split(
      ' ',
    )
    const source = path.join(import.meta.dirname, 'dns-fuzz.c')
    execFileSync(process.env['CC'] ?? 'cc', [...flags, '-o', program, source])
    const counts: Readonly<Record<string, number>> = JSON.parse(
      execFileSync(program, [String(SEED), '1000000'], { encoding: 'utf8' }),
    )
    // Broken enough, and not so broken that nothing is read.
    for (const what of ['dropped', 'read', 'malformed', 'refused']) {
      assert.ok((counts[what] ?? 0) > 10_000, `${what}: ${counts[what]}`)
    }
  })
})
