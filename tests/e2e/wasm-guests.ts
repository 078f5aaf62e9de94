/** Modules that call and are called, and a program that answers calls, for tests on whole nodes. */

import { compileText } from '../fixtures/compile.ts'

import type { TestNode } from './harness.ts'

/** An export for each kind of number, and one that returns nothing. */
export const NUMBERS = `(module
  (global $calls (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "double") (param i64) (result i64) local.get 0 i64.const 2 i64.mul)
  (func (export "half") (param f64) (result f64) local.get 0 f64.const 2 f64.div)
  (func (export "nothing"))
  (func (export "count") (result i32)
    global.get $calls i32.const 1 i32.add global.set $calls global.get $calls)
  (func (export "trap") unreachable))`

/** A function of one task that is made of those of another. */
export const SUMS = `(module
  (import "numbers" "add" (func $add (param i32 i32) (result i32)))
  (import "numbers" "double" (func $double (param i64) (result i64)))
  (func (export "sum3") (param i32 i32 i32) (result i32)
    (call $add (call $add (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "quadruple") (param i64) (result i64) (call $double (call $double (local.get 0)))))`

/** The task `counter`: a server that answers calls of its own accord. */
const COUNTER_PROGRAM = `
const { createServer } = require('node:http')
const { text } = require('node:stream/consumers')
createServer(async (request, response) => {
  const body = await text(request)
  const from = request.headers['x-quiver-from']
  const [, name] = /^\\/\\.well-known\\/quiver\\/call\\/(\\w+)$/.exec(request.url) ?? []
  if (name === undefined) {
    response.end(request.method + ' ' + request.url + ' from ' + from + (body === '' ? '' : ': ' + body))
    return
  }
  if (from === undefined) return void response.writeHead(403).end()
  const { args, input = '' } = JSON.parse(body)
  const greeting = 'hello ' + Buffer.from(input, 'base64')
  const output = { status: 201, headers: [], body: Buffer.from(greeting).toString('base64') }
  const answers = { next: { value: String(Number(args[0]) + 1) }, greet: { value: null, output } }
  if (answers[name] === undefined) return void response.writeHead(404).end('no ' + name)
  response.end(JSON.stringify(answers[name]))
}).listen(process.env.PORT)
`

export const COUNTER = {
  'quiver.toml':
    'name = "counter"\nruntime = "node@26"\ncommand = ["app.js"]\n[http]\nport = 8080\n',
  'app.js': COUNTER_PROGRAM,
}

/** @param manifest  begins with the name. @returns the folder */
export async function deployText(node: TestNode, text: string, manifest: string): Promise<string> {
  const [name = '', ...more] = manifest.split('\n')
  const folder = await node.writeFiles({
    'quiver.toml': [name, 'file = "app.wasm"', ...more].join('\n'),
  })
  await compileText(text, 'app', folder)
  await node.ok('deploy', folder)
  return folder
}
