/** JavaScript in the wasm class, by a whole node: functions that answer requests, scripts that run once, snippets over the API. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import path from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import type { SnippetRequest, SnippetResult } from '../../src/api/resources.ts'
import { compileText } from '../fixtures/compile.ts'
import { commandText } from '../fixtures/wasm-node.ts'

import { TestNode } from './harness.ts'

function functionFiles(name: string, text: string, more = ''): Record<string, string> {
  return {
    'quiver.toml': `name = "${name}"\nfile = "main.js"\n${more}\n[http]\n`,
    'main.js': text,
  }
}

suite('scripts', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function snippet(body: SnippetRequest): Promise<SnippetResult> {
    const outgoing = httpRequest({
      socketPath: path.join(node.run, 'api.sock'),
      path: '/v1/snippets',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    outgoing.end(JSON.stringify(body))
    const [answer] = await once(outgoing, 'response')
    const result: SnippetResult = JSON.parse(await readText(answer))
    return result
  }

  test('a function answers, and its log has the id of the request', async () => {
    await node.deployFiles(
      functionFiles(
        'greets',
        `export function fetch(request, env) {
          console.log('asked for', new URL(request.url).pathname)
          return new Response('hello ' + env.WHO, { status: 201, headers: { 'X-A': 'b' } })
        }`,
        '[env]\nWHO = "you"',
      ),
    )
    const answer = await node.get('greets', '/p?q', { headers: { 'x-request-id': 'mine-1' } })
    assert.deepEqual([answer.status, answer.body, answer.headers['x-a']], [201, 'hello you', 'b'])
    await node.until('its log', async () =>
      (await node.ok('logs', 'greets', '--json')).includes('mine-1 info: asked for /p')
        ? true
        : undefined,
    )
  })

  test('all functions share one engine, and their images are kilobytes', async () => {
    await node.deployFiles(functionFiles('one', 'export const fetch = () => new Response("1")'))
    await node.deployFiles(functionFiles('two', 'export const fetch = () => new Response("2")'))
    assert.deepEqual([(await node.get('one')).body, (await node.get('two')).body], ['1', '2'])
    const binaries: { readonly name: string }[] = JSON.parse(
      await node.ok('binary', 'ls', '--json'),
    )
    assert.equal(binaries.filter(({ name }) => name === 'quickjs').length, 1)
    const { image } = JSON.parse(await node.ok('describe', 'one', '--json')).revisions[0]
    assert.ok(image.imageBytes === undefined || image.imageBytes < 8192)
  })

  test('the same image runs in a sandbox by one word', async () => {
    const text = 'export const fetch = (request) => new Response("boxed " + request.method)'
    await node.deployFiles(functionFiles('boxed', text, 'isolation = "sandbox"'))
    assert.equal((await node.get('boxed')).body, 'boxed GET')
  })

  test('a new application from the template answers in capitals', async () => {
    const parent = await node.writeFiles({})
    const made = await node.quiverWith({ cwd: parent }, 'new', 'up', '--template', 'wasm-js')
    assert.equal(made.status, 0, made.stderr)
    await node.ok('deploy', path.join(parent, 'up'))
    const answer = await node.request('up.localhost', '/', { method: 'POST' }, 'small')
    assert.equal(answer.body, 'SMALL')
  })

  test('a mistake is refused at deployment, with its line, and the task stays as it was', async () => {
    const cases = [
      [
        'main.js',
        'export default {\n  fetch() { let a = ; }\n}',
        /main\.js:2:21: SyntaxError.*\(SCRIPT_INVALID\)/,
      ],
      ['main.js', 'const a = 1\nnull.x', /main\.js:2:1: TypeError.*\(SCRIPT_FAILED\)/],
      [
        'main.js',
        'export const a = 1',
        /exports nothing that answers requests \(SCRIPT_NO_HANDLER\)/,
      ],
      ['main.ts', 'const a = 1\nenum B { C }', /main\.ts:2:1: .*enum.*\(SCRIPT_INVALID\)/],
    ] as const
    await node.deployFiles(functionFiles('steady', 'export const fetch = () => new Response("ok")'))
    for (const [file, text, message] of cases) {
      const folder = await node.writeFiles({
        'quiver.toml': `name = "steady"\nfile = "${file}"\n[http]\n`,
        [file]: text,
      })
      const { status, stderr } = await node.quiver('deploy', folder)
      assert.notEqual(status, 0)
      assert.match(stderr, message)
    }
    assert.equal((await node.get('steady')).body, 'ok')
  })

  test('an error is told to whoever asked without its place, which is in the log', async () => {
    await node.deployFiles(functionFiles('fails', 'export const fetch = () => {\n null.secret }'))
    const answer = await node.get('fails')
    assert.equal(answer.status, 502)
    const body = JSON.parse(answer.body)
    assert.deepEqual([body.reason, body.component], ['SCRIPT_ERROR', 'executor'])
    assert.doesNotMatch(answer.body, /main\.js/)
    await node.until('its place in the log', async () =>
      (await node.ok('logs', 'fails', '--json')).includes('main.js:2:') ? true : undefined,
    )
  })

  test('a function reaches what it declares, and nothing else', async () => {
    await using server = createServer((request, response) => response.end(`outside ${request.url}`))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    await node.deployFiles(
      functionFiles(
        'callee',
        'export const fetch = (r) => new Response("task " + new URL(r.url).pathname)',
      ),
    )
    await node.deployFiles({
      'quiver.toml': `name = "reaches"\nfile = "main.js"\nallow = ["http://127.0.0.1:${port}"]\n[http]\n[[connect]]\ntask = "callee"\n`,
      'main.js': `export async function fetch(request) {
        const url = new URL(request.url).searchParams.get('url')
        return new Response(await globalThis.fetch(url).then((r) => r.text(), String))
      }`,
    })
    const ask = async (url: string): Promise<string> =>
      (await node.get('reaches', `/?url=${encodeURIComponent(url)}`)).body
    assert.equal(await ask(`http://127.0.0.1:${port}/x`), 'outside /x')
    assert.equal(await ask('http://callee/y'), 'task /y')
    assert.match(await ask('http://127.0.0.1:1/'), /^TypeError: fetch failed/)
    assert.match(await ask('http://169.254.169.254/'), /^TypeError: fetch failed/)
  })

  test('a script runs once, with arguments, variables and input, and its status is the status', async () => {
    const folder = await node.writeFiles({
      'main.ts': `const [, , name]: string[] = process.argv
        console.log(name, process.env.X, (await process.stdin.text()).length)
        console.error('to stderr')
        process.exitCode = 7`,
    })
    const options = { cwd: folder, input: 'some input' }
    const ran = await node.quiverWith(options, 'run', '-e', 'X=1', 'main.ts', '--', 'arg')
    assert.deepEqual([ran.status, ran.stdout], [7, 'arg 1 10\n'])
    assert.match(ran.stderr, /to stderr\n/)
  })

  test('a script that comes as input runs, and its mistakes have their line', async () => {
    const sum = await node.quiverWith(
      { input: 'console.log(1+1)' },
      'run',
      '--isolation',
      'wasm',
      'js',
      '-',
    )
    assert.deepEqual([sum.status, sum.stdout], [0, '2\n'])
    const broken = await node.quiverWith({ input: '\nnull.x' }, 'run', 'js', '-')
    assert.equal(broken.status, 1)
    assert.match(broken.stderr, /TypeError: .*\n +at .*stdin\.js:2:/)
    const options = { input: 'console.log("begun"); for (;;);' }
    const ended = await node.quiverWith(options, 'run', '--timeout', '1s', 'js', '-')
    assert.deepEqual([ended.status, ended.stdout], [143, 'begun\n'])
  })

  test("a program of one's own runs by its path alone", async () => {
    const module = await compileText(commandText('(call $say)'), 'says', node.folder)
    const ran = await node.quiver('run', module)
    assert.deepEqual([ran.status, ran.stdout], [0, 'Content-Type: text/plain\n\nok\n'])
    const missing = await node.quiver('run', './missing.wasm')
    assert.notEqual(missing.status, 0)
  })

  test('a snippet over the API: what it wrote, and how it ended', async () => {
    const done = await snippet({
      code: 'console.log(process.argv[2], process.env.A, await process.stdin.text()); console.error("e"); process.exit(5)',
      args: ['arg'],
      env: { A: '1' },
      input: 'in',
    })
    assert.deepEqual(
      { ...done, durationMs: 0 },
      {
        stdout: 'arg 1 in\n',
        stderr: 'e\n',
        isTruncated: false,
        status: 5,
        reason: 'EXITED',
        durationMs: 0,
      },
    )
    const ended = await snippet({ code: 'console.log("begun"); for (;;);', timeoutMs: 1500 })
    assert.deepEqual([ended.stdout, ended.status, ended.reason], ['begun\n', null, 'WALL_TIME'])
    const full = await snippet({
      code: 'const a = []; for (;;) a.push(`${a.length}`.repeat(1000))',
    })
    assert.equal(full.status, 1)
    assert.match(full.stderr, /OUT_OF_MEMORY/)
    const loud = await snippet({
      code: 'for (let i = 0; i < 3000; i++) console.log("x".repeat(999))',
    })
    assert.deepEqual([loud.stdout.length, loud.isTruncated, loud.status], [1024 * 1024, true, 0])
    const tried = await snippet({
      code: 'console.log(await fetch("http://127.0.0.1/").catch(String))',
    })
    assert.match(tried.stdout, /^TypeError: fetch failed/)
    assert.equal((await node.ok('ps', '-a')).includes('snippet'), false, 'nothing of them is kept')
  })
})
