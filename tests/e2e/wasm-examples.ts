/** What the WebAssembly examples answer on a real node. Part of examples.test.ts. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createServer, request, type IncomingMessage } from 'node:http'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'

import { ROOT, type HttpResult, type TestNode } from './harness.ts'

const run = promisify(execFile)
/** Debian's, which knows WebAssembly; another one may come first in PATH. */
const RUSTC = '/usr/bin/rustc'

async function post(node: TestNode, task: string, body: string, target = '/'): Promise<HttpResult> {
  return await node.request(`${task}.localhost`, target, { method: 'POST' }, body)
}

export const WASM_EXAMPLES: Readonly<Record<string, (node: TestNode) => Promise<void>>> = {
  'wasm-uppercase': async (node) => {
    await node.deployExample('wasm-uppercase')
    const answer = await post(node, 'wasm-uppercase', 'in small letters')
    assert.deepEqual([answer.status, answer.body], [200, 'IN SMALL LETTERS'])
  },

  'js-function': async (node) => {
    await node.deployExample('js-function')
    const text = 'one fish, two fish'
    for (let times = 0; times < 2; times++) {
      const counted = await post(node, 'js-function', text)
      assert.deepEqual(JSON.parse(counted.body), { words: 4, different: 3 })
    }
    const short = await post(node, 'js-function', text.repeat(9), '/?short')
    assert.equal(short.body, `${text.repeat(9).slice(0, 40)}\n`)
    const refused = await node.get('js-function')
    assert.deepEqual([refused.status, refused.headers['allow']], [405, 'POST'])
  },

  cowsay: async (node) => {
    await node.deployExample('cowsay')
    const said = await node.get('cowsay', '/?other=1&text=Moo,+said+the+%63ow')
    assert.equal(said.headers['content-type'], 'text/plain; charset=utf-8')
    assert.match(said.body, /^ _{19}\n< Moo, said the cow >\n -{19}\n.*\^__\^/)
    const text = 'Zwölf große Kühe grasen auf der Wiese hinter dem Haus, und keine sagt etwas.'
    const { body } = await node.get('cowsay', `/?text=${encodeURIComponent(text)}`)
    assert.match(body, /^\/ Zwölf große Kühe grasen auf der Wiese {2}\\$/m)
    assert.match(body, /^\\ hinter dem Haus, und keine sagt etwas\. \/$/m)
    assert.match((await node.get('cowsay', '/?text=%')).body, /< % >/)
    assert.match((await node.get('cowsay')).body, /< Moo >/)
  },

  'http-request': async (node) => {
    const server = createServer(({ url }, response) => {
      response.statusCode = url === '/missing' ? 404 : 200
      response.end(`page ${url} ${'x'.repeat(100_000)}`)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = Object(server.address())
    const page = `http://127.0.0.1:${port}`
    const folder = await copyExample(node, 'http-request', 'https://example.com', page)
    await node.ok('deploy', folder)
    const answer = await node.get('http-request', '/some/path')
    assert.equal(answer.body, `page /some/path ${'x'.repeat(100_000)}`)
    assert.match((await node.get('http-request', '/missing')).body, /^page \/missing/)
    await node.ok('deploy', folder, '--env', 'PAGE=http://127.0.0.1:1/')
    const refused = await node.get('http-request')
    assert.equal(refused.status, 502)
    assert.match(refused.body, /^http:\/\/127\.0\.0\.1:1\/: Permission denied/)
    server.close()
  },

  'wasi-write': async (node) => {
    await node.deployExample('wasi-write')
    assert.equal((await node.get('wasi-write')).body, 'hello from fd_write\n')
  },

  interop: async (node) => {
    const refused = await node.quiver('deploy', path.join(ROOT, 'examples/interop'))
    assert.match(refused.stderr, /LINK_MISSING/)
    for (const folder of ['interop/words', 'interop/primes', 'interop']) {
      const source = path.join(ROOT, 'examples', folder)
      const { status, stderr } = await node.quiverWith({ env: { RUSTC } }, 'deploy', source)
      assert.equal(status, 0, stderr)
    }
    const answer = await post(node, 'interop', ' one two\nthree  four')
    assert.equal(answer.body, '4 words, and prime number 4 is 7\n')
    const many = await post(node, 'interop', 'word '.repeat(1000))
    assert.equal(many.body, '1000 words, and prime number 1000 is 7919\n')
  },

  'image-filter': async (node) => {
    await node.deployExample('image-filter')
    const head = Buffer.from('P6 # red, green, blue, white\n2 2\n255\n')
    const pixels = Buffer.from('ff000000ff000000ffffffff', 'hex')
    const picture = Buffer.concat([head, pixels])
    const grey = await postBytes(node, '/', picture)
    assert.equal(grey.toString('latin1'), 'P5\n2 2\n255\n\x4c\x96\x1d\xff')
    const negative = await postBytes(node, '/?negative', picture)
    assert.equal(negative.subarray(-12).toString('hex'), '00ffffff00ffffff00000000')
    assert.equal((await post(node, 'image-filter', 'GIF89a')).status, 400)
    assert.equal((await post(node, 'image-filter', 'P6 2 2 255\nabc')).status, 502)
  },

  'sqlite-query': async (node) => {
    // The first time this compiles SQLite, which takes longer than a command may take here.
    await run('sh', ['build.sh'], { cwd: path.join(ROOT, 'examples/sqlite-query') })
    await node.deployExample('sqlite-query')
    const ask = (sql: string) => post(node, 'sqlite-query', sql)
    const some = await ask('select name, moons from planets where moons > 20 order by moons;')
    assert.equal(some.body, 'Uranus\t28\nJupiter\t95\nSaturn\t146\n')
    const added = "insert into planets values ('Pluto', 5, 2377); select count(*) from planets"
    assert.equal((await ask(added)).body, '9\n')
    assert.equal((await ask('select count(*) from planets')).body, '8\n')
    const wrong = await ask('select from planets')
    assert.deepEqual([wrong.status, wrong.body], [400, 'near "from": syntax error\n'])
  },
}

/** @returns what image-filter makes of a picture */
async function postBytes(node: TestNode, target: string, body: Buffer): Promise<Buffer> {
  const outgoing = request({
    host: '127.0.0.1',
    port: node.httpPort,
    path: target,
    method: 'POST',
    agent: false,
    headers: { host: 'image-filter.localhost', 'content-length': body.length },
  })
  outgoing.end(body)
  const [answer]: readonly IncomingMessage[] = await once(outgoing, 'response')
  assert.ok(answer !== undefined)
  return await buffer(answer)
}

/** A copy in which one text of the manifest is another. @returns its folder */
async function copyExample(
  node: TestNode,
  name: string,
  from: string,
  to: string,
): Promise<string> {
  const folder = await mkdtemp(path.join(node.folder, 'example-'))
  await cp(path.join(ROOT, 'examples', name), folder, { recursive: true })
  const manifest = path.join(folder, 'quiver.toml')
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replaceAll(from, to))
  return folder
}
