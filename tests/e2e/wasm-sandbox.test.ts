/** The same module as `wasm` and in a sandbox of its own: one word is changed, and nobody who asks can tell. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileCommand, compileFunction, compileText } from '../fixtures/compile.ts'
import { commandText, deployModule } from '../fixtures/wasm-node.ts'

import { ROOT, TestNode, type HttpResult } from './harness.ts'

const GUESTS = path.join(import.meta.dirname, 'guests')
const UPPERCASE = path.join(ROOT, 'tests/integration/guests/uppercase.c')

suite('one image, two isolations', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** As two tasks, of which the second is in a sandbox. */
  async function deployTwice(module: string, name: string, more = ''): Promise<readonly string[]> {
    const folder = await deployModule(node, module, name, more)
    const boxed = `${name}-boxed`
    const manifest = path.join(folder, 'quiver.toml')
    const text = await readFile(manifest, 'utf8')
    await writeFile(manifest, text.replace('file =', 'isolation = "sandbox"\nfile ='))
    await node.ok('deploy', folder, '--name', boxed)
    const tasks = await node.ps()
    const isolations = [name, boxed].map(
      (one) => tasks.find((task) => task.name === one)?.isolation,
    )
    assert.deepEqual(isolations, ['wasm', 'sandbox'])
    return [name, boxed]
  }

  /** What both answer, without what names them or the request. */
  async function ask(tasks: readonly string[], target: string, method = 'GET', body = '') {
    const answers = await Promise.all(
      tasks.map((task) => node.request(`${task}.localhost`, target, { method }, body)),
    )
    return answers.map((answer, index) => comparable(answer, tasks[index] ?? ''))
  }

  async function assertSame(tasks: readonly string[], target: string, method = 'GET', body = '') {
    const [first, second] = await ask(tasks, target, method, body)
    assert.deepEqual(second, first, target)
    return first
  }

  test('a command', async () => {
    const module = await compileCommand(path.join(GUESTS, 'web.c'), node.folder)
    const tasks = await deployTwice(module, 'web', 'port = 8080\n[env]\nGREETING = "you"\n')
    for (const target of ['/', '/env?a=b', '/status?404', '/redirect', '/exit?3', '/abort']) {
      await assertSame(tasks, target)
    }
    await assertSame(tasks, '/', 'HEAD')
    const echoed = await assertSame(tasks, '/echo', 'POST', 'and back'.repeat(50_000))
    assert.equal(echoed?.body, 'and back'.repeat(50_000))
  })

  test('a filter', async () => {
    const module = await compileCommand(path.join(GUESTS, 'capitals.c'), node.folder)
    const tasks = await deployTwice(module, 'capitals', '[wasm]\nstdout = "body"\n')
    assert.equal((await assertSame(tasks, '/', 'POST', 'quiet'))?.body, 'QUIET')
  })

  test('a function', async () => {
    const tasks = await deployTwice(await compileFunction(UPPERCASE, node.folder), 'function')
    assert.equal((await assertSame(tasks, '/', 'POST', 'quiet'))?.body, 'QUIET')
  })

  test('an export that is called by name', async () => {
    const text = `(module (func (export "add") (param i32 i64) (result i64)
      (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))))`
    const tasks = await deployTwice(await compileText(text, 'adds', node.folder), 'adds')
    for (const task of tasks) {
      const printed = await node.ok('invoke', task, '--export', 'add', '--', '-2', '44')
      assert.equal(printed.trim(), '42')
    }
  })

  test('limits', async () => {
    const spin = '(loop $again (br $again))'
    const cases = [
      ['spins', commandText(spin), '[wasm]\ncpu_time = "300ms"\n', 'CPU_TIME'],
      ['recurses', commandText('(call $deep)', '(func $deep (call $deep))'), '', 'STACK_OVERFLOW'],
      [
        'grows',
        commandText(`(loop $more
          (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable))) (br $more))`),
        '[limits]\nmemory = "16MiB"\n',
        'OUT_OF_MEMORY',
      ],
      [
        'asks-often',
        commandText(`(loop $more (drop (call $random (i32.const 64) (i32.const 1))) (br $more))`),
        '[wasm]\nhost_calls = 1000\n',
        'HOST_CALLS',
      ],
    ] as const
    for (const [name, text, more, reason] of cases) {
      const tasks = await deployTwice(await compileText(text, name, node.folder), name, more)
      const answer = await assertSame(tasks, '/')
      assert.equal(JSON.parse(answer?.body ?? '').reason, reason)
      for (const task of tasks) {
        await node.until(`${reason} in the log of ${task}`, async () => {
          const { stdout, stderr } = await node.quiver('logs', task)
          return `${stdout}${stderr}`.includes(reason) ? true : undefined
        })
      }
    }
  })
})

function comparable(answer: HttpResult, task: string) {
  const kept = ['content-type', 'location', 'x-made-by', 'transfer-encoding']
  const headers = kept.map((name) => answer.headers[name])
  const body = answer.body
    .replaceAll(/"requestId":("[^"]*"|null)/g, '"requestId":"any"')
    .replaceAll(/X?_?REQUEST_ID=.*/gi, '')
    .replaceAll(/QUIVER_INSTANCE=.*/g, '')
    .replaceAll(task, 'NAME')
  return { status: answer.status, headers, body }
}
