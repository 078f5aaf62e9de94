/** What modules reach: outside hosts, other tasks, and exports of other tasks as if they were linked in. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import path from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { compileCommand, compileFunction, compileText } from '../fixtures/compile.ts'

import { TestNode } from './harness.ts'
import { COUNTER, deployText, NUMBERS, SUMS } from './wasm-guests.ts'

const GUESTS = path.join(import.meta.dirname, 'guests')
const REACH = path.join(GUESTS, 'reach.c')

suite('a module reaches', () => {
  let node: TestNode
  let reach: string
  let origin: string
  const seen: IncomingMessage[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    seen.push(request)
    if (request.url === '/long') response.end(Buffer.alloc(8 * 1024 * 1024))
    else if (request.url === '/moved') response.writeHead(302, { location: '/' }).end('moved')
    else response.end(`you asked for ${request.url}`)
  })
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    origin = `http://127.0.0.1:${address.port}`
    node = await TestNode.start()
    reach = await compileFunction(REACH, node.folder)
    await node.deployFiles(COUNTER)
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
    server.close()
  })

  async function deployReach(name: string, more: string): Promise<void> {
    const folder = await node.writeFiles({
      'quiver.toml': `name = "${name}"\nfile = "app.wasm"\n${more}`,
    })
    await copyFile(reach, path.join(folder, 'app.wasm'))
    await node.ok('deploy', folder)
  }

  async function logOf(task: string): Promise<string> {
    return await node.ok('logs', task, '--json')
  }

  const strangers: readonly [what: string, sent: string, answer: RegExp][] = [
    [
      'a token that nobody was given',
      `${'0'.repeat(32)} counter 80\n`,
      /^permission_denied TOKEN_UNKNOWN /,
    ],
    ['half a request', 'token\n', /^permission_denied TOKEN_UNKNOWN /],
    ['a line without an end', 'x'.repeat(2000), /^$/],
  ]
  for (const [what, sent, answer] of strangers) {
    test(`nothing by ${what}`, async () => {
      const socket = connect(path.join(node.run, 'e', 'executors.sock'))
      socket.write(sent)
      assert.match(await readText(socket), answer)
    })
  }

  for (const isolation of ['wasm', 'sandbox']) {
    suite(`in isolation "${isolation}"`, () => {
      const name = `reach-${isolation}`
      const ask = (query: string, body = '') =>
        node.request(`${name}.localhost`, `/?${query}`, { method: 'POST' }, body)
      before(async () => {
        await deployReach(
          name,
          `isolation = "${isolation}"\nallow = ["${origin}"]\n[http]\n[limits]\nbody = "1MiB"\n[[connect]]\ntask = "counter"\n`,
        )
      })

      test('a host that it declares', async () => {
        const answer = await ask(`url=${encodeURIComponent(`${origin}/a?b=c`)}`)
        assert.deepEqual([answer.status, answer.body], [200, 'you asked for /a?b=c'])
        const headers = seen.at(-1)?.headers ?? {}
        assert.equal(headers.host, origin.slice('http://'.length))
        const told = Object.keys(headers).filter((key) => /quiver|forwarded/.test(key))
        assert.deepEqual(told, [])
      })

      test('no other host, nor another port, and its log says what to declare', async () => {
        for (const url of ['http://127.0.0.1:1/', 'https://api.example.com/']) {
          assert.equal((await ask(`url=${encodeURIComponent(url)}`)).body, '-4')
        }
        const log = await logOf(name)
        assert.match(log, /HOST_NOT_ALLOWED/)
        assert.match(log, /https:\/\/api\.example\.com/)
      })

      test('redirects are its own to follow, and an answer is not longer than it may hold', async () => {
        const moved = await ask(`url=${encodeURIComponent(`${origin}/moved`)}`)
        assert.deepEqual([moved.status, moved.body], [302, 'moved'])
        assert.equal((await ask(`url=${encodeURIComponent(`${origin}/long`)}`)).body, '-7')
      })

      test('another task, by a URL and by its name, which wakes it', async () => {
        await node.ok('restart', 'counter')
        const byUrl = await ask(`url=${encodeURIComponent('http://counter/who')}`)
        assert.deepEqual([byUrl.status, byUrl.body], [200, `GET /who from ${name}`])
        const byName = await ask('task=counter&path=/who', 'hello')
        assert.deepEqual([byName.status, byName.body], [200, `POST /who from ${name}: hello`])
        assert.equal((await ask('task=nobody&path=/')).body, '-4')
        assert.match(await logOf(name), /TASK_NOT_CONNECTED/)
      })

      test('an export of a task that is a program, as that answers calls', async () => {
        const answer = await ask('task=counter&export=greet', 'you')
        assert.deepEqual([answer.status, answer.body], [201, 'hello you'])
      })
    })
  }
})

suite('a run of a module', () => {
  for (const isolation of ['wasm', 'sandbox']) {
    test(`reaches what it declares, and what it is linked to, in isolation "${isolation}"`, async (t) => {
      const server = createServer((request, response) => response.end(`asked for ${request.url}`))
      t.after(() => server.close())
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      assert.ok(typeof address === 'object' && address !== null)
      const origin = `http://127.0.0.1:${address.port}`
      await using node = await TestNode.start()
      await deployText(node, NUMBERS, 'name = "numbers"\n')
      const folder = await node.writeFiles({
        'quiver.toml': `name = "once"\nfile = "app.wasm"\nallow = ["${origin}"]\n`,
      })
      const program = await compileCommand(path.join(GUESTS, 'linked-run.c'), node.folder)
      await copyFile(program, path.join(folder, 'app.wasm'))
      const run = (url: string) => node.quiver('run', '--isolation', isolation, folder, '--', url)
      const done = await run(`${origin}/x`)
      assert.deepEqual([done.stdout, done.status], ['42\nasked for /x\n', 0], done.stderr)
      const denied = await run('http://127.0.0.1:1/')
      assert.deepEqual([denied.stdout, denied.status], ['42\n', 3])
      assert.match(denied.stderr, /HOST_NOT_ALLOWED/)
    })
  }
})

suite('linked modules', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await node.deployFiles(COUNTER)
    await deployText(node, NUMBERS, 'name = "numbers"\n')
    await deployText(node, NUMBERS, 'name = "boxed"\nisolation = "sandbox"\n[http]\n')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const invoke = (task: string, name: string, ...args: readonly string[]) =>
    node.quiver('invoke', task, '--export', name, '--', ...args)

  test('are called with numbers, and what they return comes back', async () => {
    await deployText(node, SUMS, 'name = "sums"\n')
    assert.equal((await invoke('sums', 'sum3', '1', '2', '39')).stdout, '42\n')
    assert.equal(
      (await invoke('sums', 'quadruple', '4611686018427387')).stdout,
      '18446744073709548\n',
    )
  })

  test('are refused when the callee does not export what they import', async () => {
    const text = `(module (import "numbers" "ad" (func $ad (result i32)))
      (func (export "go") (result i32) (call $ad)))`
    const folder = await node.writeFiles({ 'quiver.toml': 'name = "wrong"\nfile = "app.wasm"\n' })
    await compileText(text, 'app', folder)
    const { status, stderr } = await node.quiver('deploy', folder)
    assert.notEqual(status, 0)
    assert.match(stderr, /does not export it \(LINK_EXPORT_MISSING\)\n.*"add"/)
  })

  test('are found under another name by a connection, in a sandbox too', async () => {
    const manifest = 'name = "aliased"\n[[connect]]\ntask = "boxed"\nas = "numbers"\n'
    await deployText(node, SUMS, manifest)
    assert.equal((await invoke('aliased', 'sum3', '1', '2', '3')).stdout, '6\n')
    assert.equal((await node.describe('boxed')).instancesReady, 1)
  })

  test('are not reached over plain TCP, where a caller could give itself any name', async () => {
    const folder = await node.writeFiles({
      'quiver.toml':
        'name = "forger"\nruntime = "busybox"\ncommand = ["sleep", "60"]\n[[connect]]\ntask = "boxed"\nas = "b"\nport = 8080\nkind = "tcp"\n',
    })
    const { status, stderr } = await node.quiver('deploy', folder)
    assert.notEqual(status, 0)
    assert.match(stderr, /forger connects to boxed over plain TCP.*TCP_TO_MODULE/)
  })

  test('call a program that sleeps, which wakes', async () => {
    const text = `(module (import "counter" "next" (func $next (param i32) (result i32)))
      (func (export "after_next") (param i32) (result i32) (call $next (call $next (local.get 0)))))`
    await deployText(node, text, 'name = "asker"\n')
    assert.equal((await node.describe('counter')).instancesLive, 0)
    assert.equal((await invoke('asker', 'after_next', '40')).stdout, '42\n')
  })

  test('say what is wrong with the callee', async () => {
    const text = `(module (import "counter" "nothing" (func $call (result i32)))
      (import "numbers" "trap" (func $trap))
      (func (export "missing") (result i32) (call $call)) (func (export "broken") (call $trap)))`
    await deployText(node, text, 'name = "unlucky"\n')
    assert.match(
      (await invoke('unlucky', 'missing')).stderr,
      /nothing of task counter.*404.*no nothing/,
    )
    assert.match((await invoke('unlucky', 'broken')).stderr, /trap of task numbers.*TRAPPED/)
  })

  test('that call each other are refused, by the names in the circle', async () => {
    await deployText(
      node,
      '(module (func (export "go") (result i32) i32.const 1))',
      'name = "ping"\n',
    )
    await deployText(node, passOn('ping'), 'name = "pong"\n')
    await deployText(node, passOn('pong'), 'name = "ping"\n')
    const { status, stderr } = await invoke('ping', 'go')
    assert.notEqual(status, 0)
    assert.match(stderr, /ping → pong → ping/)
    assert.match(stderr, /CALL_CYCLE/)
  })

  test('wait for each other in a chain of eight at most', async () => {
    await deployText(
      node,
      '(module (func (export "go") (result i32) i32.const 7))',
      'name = "c0"\n',
    )
    for (let index = 1; index <= 9; index++) {
      await deployText(node, passOn(`c${index - 1}`), `name = "c${index}"\n`)
    }
    assert.equal((await invoke('c8', 'go')).stdout, '7\n')
    assert.match((await invoke('c9', 'go')).stderr, /CALL_TOO_DEEP/)
  })
})

/** Calls the function of its own name in another task. */
function passOn(task: string): string {
  return `(module (import "${task}" "go" (func $go (result i32)))
    (func (export "go") (result i32) (call $go)))`
}
