/** An instance of a module for each request, or one for all of them. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'

import { commandText, deployText } from '../fixtures/wasm-node.ts'

import { TestNode } from './harness.ts'

/** Answers with the number of its calls, by memory and by a global; the fourth call traps. */
const COUNTER = `(module
  (import "quiver" "buffer_output" (func $output (result i32)))
  (import "quiver" "buffer_write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "handle")
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 4)) (then unreachable))
    (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 8)) (i32.const 48)))
    (i32.store8 (i32.const 17) (i32.add (global.get $calls) (i32.const 48)))
    (drop (call $write (call $output) (i32.const 16) (i32.const 2)))))`

suite('instances of a module', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function answers(task: string, count: number): Promise<readonly string[]> {
    const bodies: string[] = []
    for (let index = 0; index < count; index++) {
      const { status, body } = await node.get(task)
      bodies.push(status === 200 ? body : `${status}`)
    }
    return bodies
  }

  test('are fresh for each request', async () => {
    await deployText(node, 'fresh', COUNTER)
    assert.deepEqual(await answers('fresh', 5), ['11', '11', '11', '11', '11'])
  })

  test('are one for all requests, where that is asked for, until one fails', async () => {
    await deployText(node, 'reused', COUNTER, '[wasm]\ninstances = "reuse"\n')
    const expected = ['11', '22', '33', '502', '11', '22']
    assert.deepEqual(await answers('reused', 6), expected)
  })

  test('serve one request at a time, where there is one', async () => {
    await deployText(node, 'queue', COUNTER, '[wasm]\ninstances = "reuse"\n')
    const all = await Promise.all(Array.from({ length: 3 }, () => node.get('queue')))
    assert.deepEqual(all.map(({ body }) => body).toSorted(), ['11', '22', '33'])
  })

  test('cannot be one for all of a command', async () => {
    const refused = deployText(
      node,
      'once',
      commandText('(call $say)'),
      '[wasm]\ninstances = "reuse"\n',
    )
    await assert.rejects(refused, /MODULE_NOT_REUSABLE/)
  })
})
