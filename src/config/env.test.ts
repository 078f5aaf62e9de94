import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test } from 'node:test'

import { loadDotenv, loadEnvFile, parseDotenv } from './dotenv.ts'
import { checkEnvironment, parseEnvFlags } from './env.ts'

suite('parseDotenv()', () => {
  const texts: readonly [text: string, env: Record<string, string>][] = [
    ['', {}],
    ['# only a comment', {}],
    ['A=1\r\nB = two words  \n\n  export C=3', { A: '1', B: 'two words', C: '3' }],
    ['A=', { A: '' }],
    ['A= # nothing', { A: '' }],
    ['A=a#b # c', { A: 'a#b' }],
    ['URL=postgres://u:p=x@h/d?a=b', { URL: 'postgres://u:p=x@h/d?a=b' }],
    [`A='a "b" \\n # c' # d`, { A: 'a "b" \\n # c' }],
    ['A="x\\ny\\t\\"\\\\ \\$ \\z # c"', { A: 'x\ny\t"\\ $ \\z # c' }],
    ['KEY="-----BEGIN\nabc=\n-----END"\nB=2', { KEY: '-----BEGIN\nabc=\n-----END', B: '2' }],
    ["A='two\nlines'", { A: 'two\nlines' }],
    [`A=it's`, { A: "it's" }],
    ['A=1\nA=2', { A: '2' }],
    ['\uFEFFA=ü €', { A: 'ü €' }],
    ['__proto__=x', { ['__proto__']: 'x' }],
  ]
  for (const [text, env] of texts) {
    test(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(Object.entries(parseDotenv({ path: '.env', text })), Object.entries(env))
    })
  }

  const broken: readonly [text: string, message: RegExp][] = [
    ['A=1\n\nnot an entry', /^\.env:3: is not KEY=VALUE/],
    ['=x', /^\.env:1: /],
    ['A-B=x', /^\.env:1: "A-B" is not a name/],
    ['A=1\nB="open\nC=2', /^\.env:2: the quote of B is not closed/],
    ['A="x" y', /^\.env:1: goes on after the closing quote of A/],
    ['A=\0', /A contains a NUL/],
  ]
  for (const [text, message] of broken) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseDotenv({ path: '.env', text }), {
        code: 'invalid_argument',
        reason: 'ENV_FILE_INVALID',
        message,
      })
    })
  }

  test('a missing .env is none, a missing --env-file is an error', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-env-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = path.join(folder, '.env')
    assert.deepEqual(await loadDotenv(file), {})
    await assert.rejects(loadEnvFile(file), { code: 'not_found', reason: 'ENV_FILE_NOT_FOUND' })
    await writeFile(file, 'A=1')
    assert.deepEqual(await loadDotenv(file), { A: '1' })
    await assert.rejects(loadDotenv(folder), { reason: 'ENV_FILE_UNREADABLE' })
  })
})

suite('parseEnvFlags()', () => {
  test('takes anything after the first equals sign, and a name alone from the caller', () => {
    const flags = ['A=b=c', 'B=', 'C= two words "q"\nline', 'FROM_CALLER', 'NOT_SET', 'A=last']
    assert.deepEqual(parseEnvFlags(flags, { FROM_CALLER: 'x' }), {
      A: 'last',
      B: '',
      C: ' two words "q"\nline',
      FROM_CALLER: 'x',
    })
  })

  for (const flag of ['=x', 'A B=1', '1A=1', 'A=\0', 'x-y']) {
    test(`refuses ${JSON.stringify(flag)}`, () => {
      assert.throws(() => parseEnvFlags([flag], {}), {
        code: 'invalid_argument',
        reason: 'ENV_INVALID',
      })
    })
  }
})

test('checkEnvironment() knows what Linux takes', () => {
  assert.deepEqual(checkEnvironment({ A: 'x'.repeat(131_068) }), [])
  assert.match(checkEnvironment({ A: 'x'.repeat(131_072) })[0]?.message ?? '', /bytes/)
  const large = { A: 'x'.repeat(100_000), B: 'x'.repeat(100_000), C: 'x'.repeat(100_000) }
  assert.deepEqual(
    checkEnvironment(large).map(({ name }) => name),
    ['B'],
  )
})
