/** Functions of components and scripts that are called by name, with whatever their types can say. */

import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { TestNode } from './harness.ts'

const COMPONENTS = path.join(import.meta.dirname, '../fixtures/components')
const SCRIPT = `
export default { fetch: () => new Response('answered') }
let calls = 0
export const add = (a, b) => a + b
export async function greet(name, { loud = false } = {}) {
  await new Promise((resolve) => setTimeout(resolve, 1))
  return loud ? name.toUpperCase() : 'hello ' + name
}
export function count() { return ++calls }
export function sum(numbers) { return numbers.reduce((a, b) => a + b, 0) }
export function nothing() {}
export function nested(value) { return { value, list: [1, true, null] } }
export function fails(why) { throw new RangeError(why) }
export function never() { return new Promise(() => {}) }
`

suite('functions that are called by name', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    for (const [name, component, more] of [
      ['library', 'library', ''],
      ['composed', 'composed', ''],
      ['boxed', 'library', 'isolation = "sandbox"\n[http]\nport = 8080\n'],
    ] as const) {
      const folder = await node.writeFiles({
        'quiver.toml': `name = "${name}"\nfile = "app.wasm"\n${more}`,
      })
      await copyFile(path.join(COMPONENTS, `${component}.wasm`), path.join(folder, 'app.wasm'))
      await node.ok('deploy', folder)
    }
    await node.deployFiles({
      'quiver.toml': 'name = "script"\nfile = "main.js"\n[http]\n',
      'main.js': SCRIPT,
    })
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const calls: readonly [task: string, args: readonly string[], printed: string][] = [
    ['library', ['add', '2', '-0x28'], '-38\n'],
    ['library', ['double', '9223372036854775807'], '18446744073709551614\n'],
    ['library', ['is-even', '7'], 'false\n'],
    ['library', ['greet', 'wörld & all'], 'hello wörld & all\n'],
    ['library', ['sum', '[1, 2, -10]'], '-7\n'],
    ['library', ['same', '[1, 255]'], '[1,255]\n'],
    [
      'library',
      ['shift', '[{"x": 9007199254740993, "on": true, "name": "a"}]'],
      '[{"x":9007199254740993,"on":true,"name":"a"}]\n',
    ],
    ['library', ['divide', '42', '2'], '21\n'],
    ['library', ['nothing'], ''],
    ['library', ['count'], '1\n'],
    ['library', ['count'], '1\n'],
    ['library', ['plus', '1', '2'], '3\n'],
    ['library', ['local:numbers/math#plus', '1', '2'], '3\n'],
    ['composed', ['loud', 'over there'], 'OVER THERE\n'],
    ['composed', ['count', '5'], '1105\n'],
    ['composed', ['swap', '[1, 2]'], '[2,1]\n'],
    ['boxed', ['greet', 'you'], 'hello you\n'],
    ['script', ['add', '2', '40'], '42\n'],
    ['script', ['add', 'a', 'b'], 'ab\n'],
    ['script', ['greet', 'you'], 'hello you\n'],
    ['script', ['greet', 'you', '{"loud": true}'], 'YOU\n'],
    ['script', ['sum', '[1, 2, 3]'], '6\n'],
    ['script', ['nested', 'x'], '{"value":"x","list":[1,true,null]}\n'],
    ['script', ['nothing'], ''],
    ['script', ['count'], '1\n'],
    ['script', ['count'], '1\n'],
  ]
  for (const [task, [name = '', ...args], printed] of calls) {
    test(`${name}(${args.join(', ')}) of ${task}`, async () => {
      assert.equal(await node.ok('invoke', task, '--export', name, '--', ...args), printed)
    })
  }

  const mistakes: readonly [task: string, args: readonly string[], message: RegExp][] = [
    ['library', ['add', '2'], /add\(s32, s32\) -> s32 takes 2 arguments, and 1 were given/],
    ['library', ['add', '2', 'forty'], /"forty" is no s32 for b of add\(s32, s32\)/],
    ['library', ['sum', '[1, "x"]'], /is no list<s32> for values of sum/],
    ['library', ['ad', '2', '40'], /no function "ad".*\n.*Did you mean "add"/],
    ['library', ['divide', '1', '0'], /divide failed with division by zero \(EXPORT_FAILED\)/],
    ['library', ['trap'], /TRAPPED/],
    ['composed', ['use-dropped'], /TRAPPED/],
    ['script', ['add', '2'], /add takes at least 2 arguments, and 1 were given/],
    ['script', ['ad', '2', '40'], /no function "ad".*\n.*Did you mean "add"/],
    ['script', ['fetch'], /EXPORT_NOT_FOUND/],
    ['script', ['toString'], /EXPORT_NOT_FOUND/],
    ['script', ['fails', 'because'], /RangeError: because \(SCRIPT_ERROR\)/],
    ['script', ['never'], /SCRIPT_STALLED/],
  ]
  for (const [task, [name = '', ...args], message] of mistakes) {
    test(`${name}(${args.join(', ')}) of ${task} says what is wrong`, async () => {
      const { status, stderr } = await node.quiver('invoke', task, '-x', name, '--', ...args)
      assert.notEqual(status, 0)
      assert.match(stderr, message)
    })
  }

  test('what answers no requests says so, and what does still does', async () => {
    const asked = await node.get('boxed')
    assert.equal(asked.status, 404)
    assert.equal(JSON.parse(asked.body).reason, 'MODULE_ANSWERS_NO_REQUESTS')
    assert.equal((await node.get('script')).body, 'answered')
  })
})
