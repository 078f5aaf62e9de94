/** Components of WASI 0.2 on a whole node: small ones from text, and those that toolchains make of JavaScript and C. */

import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileCommand } from '../fixtures/compile.ts'
import { CAT, ECHO, handler, HELLO } from '../fixtures/component-texts.ts'
import {
  componentizeScript,
  makeComponent,
  parseComponent,
  requireToolchains,
} from '../fixtures/component-toolchains.ts'
import { compileComponent, type ComponentText } from '../fixtures/component.ts'
import { deployModule } from '../fixtures/wasm-node.ts'

import { TestNode } from './harness.ts'

const GUESTS = path.join(import.meta.dirname, 'guests')
const missing = await requireToolchains()

suite('components on a node', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function compile(name: string, source: ComponentText): Promise<string> {
    const file = path.join(node.folder, `${name}.component.wasm`)
    await writeFile(file, await compileComponent(source, name, node.folder))
    return file
  }

  /** @returns a folder with the component and its manifest */
  async function write(component: string, manifest: string): Promise<string> {
    const folder = await mkdtemp(path.join(node.folder, 'app-'))
    await copyFile(component, path.join(folder, 'app.wasm'))
    await writeFile(path.join(folder, 'quiver.toml'), `file = "app.wasm"\n${manifest}`)
    return folder
  }

  async function deploy(name: string, source: ComponentText, more = ''): Promise<void> {
    await deployModule(node, await compile(name, source), name, more)
  }

  async function post(task: string, target: string, body: string) {
    return await node.request(`${task}.localhost`, target, { method: 'POST' }, body)
  }

  test('each request has an instance of its own, with wasm and with sandbox', async () => {
    await deploy('hello', HELLO)
    const manifest = 'name = "hello-sandbox"\nisolation = "sandbox"\n[http]\nport = 8080\n'
    await node.ok('deploy', await write(await compile('hello-sandbox', HELLO), manifest))
    for (const task of ['hello', 'hello-sandbox']) {
      for (let count = 0; count < 3; count++) {
        const { status, body } = await node.get(task)
        assert.deepEqual([status, body], [200, 'calls: 1\n'])
      }
    }
  })

  test('bodies go through in both directions', async () => {
    await deploy('echo', ECHO)
    const body = 'x'.repeat(300_000)
    assert.equal((await post('echo', '/', body)).body, body)
  })

  test('a command answers on its standard output', async () => {
    await deploy('cat', CAT, '[wasm]\nstdout = "body"\n')
    assert.equal((await post('cat', '/', 'some text')).body, 'some text')
  })

  test('one that breaks the rules is ended, and named', async () => {
    await deploy('broken', handler('(drop (call $1 (i32.const 77)))'))
    const { status, body } = await node.get('broken')
    assert.equal(status, 502)
    assert.equal(JSON.parse(body).reason, 'TRAPPED')
  })

  test('what WASI does not have is refused when it is deployed', async () => {
    const imports = [{ interface: 'wasi:random/random', name: 'get-dice' }]
    const source = handler('', imports, { 'get-dice': { params: [], result: null } })
    await assert.rejects(deploy('dice', source), /get-dice/)
  })

  test(
    'componentize-js: requests, waits, streams, and a fresh engine each time',
    { skip: missing },
    async () => {
      const component = await componentizeScript(path.join(GUESTS, 'component.js'))
      await deployModule(
        node,
        component,
        'script',
        '[limits]\nmemory = "64MiB"\n[[connect]]\ntask = "hello"\n',
      )
      for (let count = 0; count < 3; count++) {
        assert.equal((await node.get('script')).body, 'hello 1\n')
      }
      // Another component, and what is not declared.
      assert.equal(
        (await node.get('script', '/get?url=http%3A%2F%2Fhello%2F')).body,
        '200 calls: 1\n',
      )
      const denied = await node.get('script', '/get?url=http%3A%2F%2Fexample.test%2F')
      assert.equal(denied.status, 500)
      const body = 'y'.repeat(200_000)
      assert.equal((await post('script', '/echo', body)).body, body)
      assert.equal((await node.get('script', '/later')).body, 'later\n')
      assert.equal((await node.get('script', '/throw')).status, 500)
    },
  )

  test(
    'components among the fixtures are what their text form says',
    { skip: missing },
    async () => {
      const folder = path.join(import.meta.dirname, '../fixtures/components')
      const texts = (await readdir(folder)).filter((name) => name.endsWith('.wat'))
      assert.ok(texts.length > 1)
      for (const name of texts) {
        const made = path.join(node.folder, `${name}.wasm`)
        await parseComponent(path.join(folder, name), made)
        const kept = await readFile(path.join(folder, name.replace(/wat$/, 'wasm')))
        const message = `${name} was changed: run scripts/node scripts/component-fixtures.ts`
        assert.ok(kept.equals(await readFile(made)), message)
      }
    },
  )

  test(
    'C with libc: a run has arguments, input, output and a status',
    { skip: missing },
    async () => {
      const module = await compileCommand(path.join(GUESTS, 'arguments.c'), node.folder)
      const component = path.join(node.folder, 'arguments.component.wasm')
      await makeComponent('command', module, component)
      const folder = await write(component, 'name = "arguments"\n')
      const ran = await node.quiverWith({ input: 'one\ntwo\n' }, 'run', folder, '--', 'a', 'b c')
      assert.equal(ran.stdout, 'argument a\nargument b c\nline one\nline two\n')
      assert.equal(ran.status, 1)
      assert.match(ran.stderr, /done/)
    },
  )
})
