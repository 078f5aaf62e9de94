/** What modules are refused for before they are deployed, and how their exports are called by name. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileText } from '../fixtures/compile.ts'

import { TestNode, type CommandResult } from './harness.ts'
import { deployText, NUMBERS, SUMS } from './wasm-guests.ts'

suite('a module that cannot run is refused before it is deployed', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const HTTP = '[http]\n'
  const refused: readonly [what: string, text: string, manifest: string, reason: string][] = [
    [
      'imports that nobody offers',
      '(module (import "env" "nobody" (func)) (func (export "_start")))',
      HTTP,
      'MODULE_IMPORTS_UNKNOWN',
    ],
    ['nothing to call', '(module (memory 1))', HTTP, 'MODULE_KIND_UNKNOWN'],
    [
      'more memory than it may have',
      '(module (memory (export "memory") 1000) (func (export "_start")))',
      `${HTTP}[limits]\nmemory = "4MiB"\n`,
      'MODULE_MEMORY_TOO_LARGE',
    ],
    [
      'an entry that is not there',
      NUMBERS,
      `${HTTP}[wasm]\nentry = "ad"\n`,
      'MODULE_ENTRY_MISSING',
    ],
    [
      'a task that is not there',
      '(module (import "nowhere" "add" (func (result i32))) (func (export "run")))',
      HTTP,
      'LINK_MISSING',
    ],
    ['a task that is itself', SUMS.replaceAll('numbers', 'refused'), HTTP, 'LINK_CYCLE'],
  ]
  for (const isolation of ['wasm', 'sandbox']) {
    for (const [what, text, manifest, reason] of refused) {
      test(`${what}, in isolation "${isolation}"`, async () => {
        const folder = await node.writeFiles({
          'quiver.toml': `name = "refused"\nfile = "app.wasm"\nisolation = "${isolation}"\n${manifest}`,
        })
        await compileText(text, 'app', folder)
        assertRefused(await node.quiver('deploy', folder), reason)
        assert.deepEqual(await node.ps(), [])
      })
    }
  }

  test('bytes that are no module', async () => {
    const folder = await node.writeFiles({
      'quiver.toml': `name = "refused"\nfile = "app.wasm"\n${HTTP}`,
    })
    const file = path.join(folder, 'app.wasm')
    await writeFile(file, Buffer.from('0061736d01000000ff', 'hex'))
    assertRefused(await node.quiver('deploy', folder), 'MODULE_INVALID')
    assert.deepEqual(await node.ps(), [])
  })

  test('a run of what is no program', async () => {
    const folder = await node.writeFiles({ 'quiver.toml': 'name = "refused"\nfile = "app.wasm"\n' })
    await compileText(NUMBERS, 'app', folder)
    assertRefused(await node.quiver('run', folder), 'MODULE_NOT_A_COMMAND')
    assert.deepEqual(await node.ps(), [])
  })

  test('and the revision before stays, when there was one', async () => {
    const folder = await node.writeFiles({ 'quiver.toml': `name = "kept"\nfile = "app.wasm"\n` })
    await compileText(NUMBERS, 'app', folder)
    await node.ok('deploy', folder)
    await compileText('(module (import "env" "x" (func)))', 'app', folder)
    assertRefused(await node.quiver('deploy', folder), 'MODULE_')
    assert.equal(await node.ok('invoke', 'kept', '--export', 'add', '--', '2', '40'), '42\n')
    const { revisions } = await node.describe('kept')
    assert.deepEqual(
      revisions.map(({ number }) => number),
      [1],
    )
    await node.ok('rm', 'kept')
  })
})

suite('exports', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await deployText(node, NUMBERS, 'name = "numbers"\n[http]\n')
    await deployText(node, NUMBERS, 'name = "boxed"\nisolation = "sandbox"\n[http]\n')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const calls: readonly [args: readonly string[], printed: string][] = [
    [['add', '2', '40'], '42\n'],
    [['add', '0xffffffff', '1'], '0\n'],
    [['double', '-4611686018427387904'], '-9223372036854775808\n'],
    [['half', '5'], '2.5\n'],
    [['nothing'], ''],
    [['count'], '1\n'],
    [['count'], '1\n'],
  ]
  for (const task of ['numbers', 'boxed']) {
    for (const [[name = '', ...args], printed] of calls) {
      test(`${name}(${args.join(', ')}) of ${task} returns ${printed.trim() || 'nothing'}`, async () => {
        assert.equal(await node.ok('invoke', task, '--export', name, '--', ...args), printed)
      })
    }
  }

  const mistakes: readonly [args: readonly string[], message: RegExp][] = [
    [['add', '2'], /add\(i32, i32\) -> i32 takes 2 arguments, and 1 were given/],
    [['add', '2', 'forty'], /"forty" is not an i32 for add\(i32, i32\) -> i32/],
    [['add', '2', '4294967296'], /"4294967296" is not an i32/],
    [['ad', '2', '40'], /no function "ad".*\n.*Did you mean "add"/],
    [['trap'], /TRAPPED/],
  ]
  for (const [[name = '', ...args], message] of mistakes) {
    test(`${name}(${args.join(', ')}) says what is wrong`, async () => {
      const { status, stderr } = await node.quiver('invoke', 'numbers', '-x', name, '--', ...args)
      assert.notEqual(status, 0)
      assert.match(stderr, message)
    })
  }

  test('nobody outside can call them, whatever he says about himself', async () => {
    const headers = { 'x-quiver-from': 'control', x_quiver_from: 'control' }
    for (const task of ['numbers', 'boxed']) {
      const target = '/.well-known/quiver/call/add'
      const options = { method: 'POST', headers }
      const answer = await node.request(`${task}.localhost`, target, options, '{"args":["2","40"]}')
      assert.equal(answer.status, 404, answer.body)
      assert.equal(JSON.parse(answer.body).reason, 'MODULE_ANSWERS_NO_REQUESTS')
    }
  })

  test('a module cannot publish a port, where nobody says who calls', async () => {
    const folder = await deployText(node, NUMBERS, 'name = "published"\n[http]\n')
    const outcome = await node.quiver('deploy', folder, '--publish', '0:8080')
    assertRefused(outcome, 'SPEC_UNSUPPORTED')
  })

  test('a module without [http] is called all the same, and has no route', async () => {
    await deployText(node, NUMBERS, 'name = "library"\n')
    assert.equal(await node.ok('invoke', 'library', '--export', 'add', '--', '1', '2'), '3\n')
    assert.equal((await node.get('library')).status, 404)
  })
})

function assertRefused({ status, stderr }: CommandResult, reason: string): void {
  assert.notEqual(status, 0)
  assert.ok(stderr.includes(reason), stderr)
}
