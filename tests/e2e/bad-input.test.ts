/** What people get wrong, typed as they would type it: the answer names the thing, the place and what to do. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { TestNode } from './harness.ts'
import { assertRefused } from './refused.ts'

const HEAD = 'name = "app"\nruntime = "node@26"\ncommand = ["a.mjs"]\n'
const WEB = `${HEAD}[http]\nport = 8000\n`
const SERVER = `import { createServer } from 'node:http'
createServer((request, response) => response.end('hello')).listen(8000)
`
/** The beginning of a program for another kind of machine than this one. */
const FOREIGN_ELF = Buffer.alloc(64)
FOREIGN_ELF.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
FOREIGN_ELF.writeUInt16LE(2, 16)
FOREIGN_ELF.writeUInt16LE(process.arch === 'x64' ? 0xb7 : 0x3e, 18)
FOREIGN_ELF.writeUInt16LE(56, 54)

let node: TestNode
before(async () => {
  node = await TestNode.start()
})
after(async () => {
  await node[Symbol.asyncDispose]()
})

suite('a manifest', () => {
  const cases: readonly (readonly [
    what: string,
    manifest: string,
    status: number,
    reason: string,
    says: RegExp,
  ])[] = [
    [
      'with an unknown key',
      `${HEAD}[limits]\nmemroy = "64MiB"\n`,
      64,
      'MANIFEST_INVALID',
      /quiver\.toml:5:1: [^]*"memory"/,
    ],
    [
      'with a wrong unit',
      `${HEAD}[limits]\nmemory = "64MB"\n`,
      64,
      'MANIFEST_INVALID',
      /quiver\.toml:5:10: [^]*MiB/,
    ],
    [
      'with a number for a duration',
      `${HEAD}[scale]\nstop_after = 5\n`,
      64,
      'MANIFEST_INVALID',
      /"5m"/,
    ],
    ['that is no TOML', 'name = app', 64, 'MANIFEST_INVALID', /quiver\.toml:1:8/],
    ['with keys that come later', `${HEAD}[[cron]]\n`, 69, 'NOT_YET', /cron: is not there yet/],
    ['for WebAssembly', `${HEAD}isolation = "wasm"\n`, 64, 'MANIFEST_INVALID', /\.wasm module/],
    ['with too wide a wildcard', `${HEAD}allow = ["*.com"]\n`, 64, 'MANIFEST_INVALID', /too much/],
    [
      'with a misspelt runtime',
      'name = "app"\nruntime = "nod@26"\n',
      66,
      'BINARY_NOT_FOUND',
      /Did you mean "node"\?/,
    ],
    [
      'with a runtime that nobody has',
      'name = "app"\nruntime = "cobol"\n',
      66,
      'BINARY_NOT_FOUND',
      /There are: .*node.*binary import/,
    ],
    [
      'with another version',
      'name = "app"\nruntime = "node@9"\n',
      66,
      'BINARY_NOT_FOUND',
      /no node@9; there is 26/,
    ],
    [
      'with a misspelt file',
      'name = "app"\nfile = "./sever"\n',
      66,
      'HOST_FILE_MISSING',
      /Did you mean "server"\?/,
    ],
    [
      'with a text as its program',
      'name = "app"\nfile = "./server"\n',
      64,
      'ELF_INVALID',
      /server is not an ELF program[^]*runtime/,
    ],
    [
      'with a script as its program',
      'name = "app"\nfile = "./script"\n',
      64,
      'ELF_INVALID',
      /script/,
    ],
    [
      'with a program of another machine',
      'name = "app"\nfile = "./foreign"\n',
      64,
      'ELF_INVALID',
      /is built for a/,
    ],
    [
      'with a file outside',
      'name = "app"\nfile = "../server"\n',
      64,
      'MANIFEST_INVALID',
      /not inside this folder/,
    ],
    [
      'with NUL in a variable',
      `${HEAD}[env]\nKEY = "a\\u0000b"\n`,
      64,
      'MANIFEST_INVALID',
      /env\.KEY/,
    ],
  ]
  for (const [what, manifest, status, reason, says] of cases) {
    test(`${what} is refused`, async () => {
      const folder = await node.writeFiles({
        'quiver.toml': manifest,
        'a.mjs': SERVER,
        server: 'text\n',
        script: '#!/bin/sh\n',
      })
      await writeFile(path.join(folder, 'foreign'), FOREIGN_ELF, { mode: 0o755 })
      for (const name of ['server', 'script']) await chmod(path.join(folder, name), 0o755)
      assertRefused(await node.quiver('deploy', folder), { status, reason, says })
      assert.deepEqual(await node.ps(), [])
    })
  }
})

suite('a folder', () => {
  test('without quiver.toml is named, and how to get one', async () => {
    const folder = await node.writeFiles({})
    const says = new RegExp(`${folder}/quiver.toml[^]*quiver new`)
    assertRefused(await node.quiver('deploy', folder), {
      status: 66,
      reason: 'MANIFEST_NOT_FOUND',
      says,
    })
  })

  for (const [what, target] of [
    ['an absolute path', '/etc/passwd'],
    ['a path with ..', '../../../etc/passwd'],
  ] as const) {
    test(`with a symlink to ${what} is refused`, async () => {
      const folder = await node.writeFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER })
      await symlink(target, path.join(folder, 'secret'))
      assertRefused(await node.quiver('deploy', folder), {
        status: 64,
        reason: 'PATH_ESCAPES',
        says: /"secret" → "[./]*etc\/passwd" leads out of the folder[^]*\.quiverignore/,
      })
    })
  }
})

suite('a command', () => {
  const cases: readonly (readonly [
    args: readonly string[],
    status: number,
    reason: string,
    says: RegExp,
  ])[] = [
    [['descrbe', 'app'], 64, 'COMMAND_NOT_FOUND', /Did you mean "describe"\?/],
    [['ps', '--jsn'], 64, 'USAGE_INVALID', /--json/],
    [['logs', 'nope'], 66, 'TASK_NOT_FOUND', /there is no task "nope"/],
    [['scale', 'app', 'lots'], 64, 'NUMBER_INVALID', /"lots"/],
    [['scale', 'app', '1.5'], 64, 'NUMBER_INVALID', /whole number/],
    [['scale', 'app', '100000'], 64, 'NUMBER_INVALID', /0 to 1000/],
    [['deploy', '.', '--traffic', '0%'], 64, 'PERCENT_INVALID', /1% to 100%/],
    [['deploy', '.', '--traffic', '101'], 64, 'PERCENT_INVALID', /"101"/],
    [['deploy', '.', '--name', 'BAD_Name'], 64, 'NAME_INVALID', /"BAD_Name"/],
    [['logs', 'app', '--since', 'yesterday'], 64, 'TIME_INVALID', /10m/],
    [['run', '-m', '200MB', 'busybox'], 64, 'QUANTITY_INVALID', /MiB/],
    [
      ['run', '--isolation', 'microvm', '--memory', '16MiB', 'busybox'],
      64,
      'SPEC_UNSUPPORTED',
      /at least 32MiB/,
    ],
    [['run', '--isolation', 'wasm', 'busybox'], 64, 'SPEC_UNSUPPORTED', /not WebAssembly/],
    [['run', 'bsybox', '--', 'sh'], 66, 'BINARY_NOT_FOUND', /Did you mean "busybox"\?/],
  ]
  for (const [args, status, reason, says] of cases) {
    test(`quiver ${args.join(' ')}`, async () => {
      assertRefused(await node.quiver(...args), { status, reason, says })
    })
  }

  test('for a task that is nearly named is told the name', async () => {
    await node.deployFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER }, '--name', 'photos')
    assertRefused(await node.quiver('rm', 'photo'), {
      status: 66,
      reason: 'TASK_NOT_FOUND',
      says: /Did you mean "photos"\?/,
    })
    await node.ok('rm', 'photos')
  })
})

suite('a route', () => {
  test('that another task has names its owner; an update of the task itself is fine', async () => {
    const routes = 'routes = ["photos.localhost/album"]\n'
    const named = (name: string) => `${WEB}${routes}`.replace('"app"', `"${name}"`)
    const first = await node.deployFiles({ 'quiver.toml': named('owner'), 'a.mjs': SERVER })
    const folder = await node.writeFiles({ 'quiver.toml': named('thief'), 'a.mjs': SERVER })
    assertRefused(await node.quiver('deploy', folder), {
      status: 73,
      reason: 'ROUTE_TAKEN',
      says: /"photos\.localhost\/album" belongs to the task owner/,
    })
    await writeFile(path.join(first, 'a.mjs'), SERVER.replace('hello', 'changed'))
    await node.ok('deploy', first)
    assert.equal((await node.request('photos.localhost', '/album')).body, 'changed')
    await node.ok('rm', 'owner')
  })

  test('a published port that a program of the machine has is refused before anything starts', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    const manifest = `${HEAD}[[port]]\nport = 6000\npublish = "${address.port}"\n`
    const folder = await node.writeFiles({ 'quiver.toml': manifest, 'a.mjs': SERVER })
    assertRefused(await node.quiver('deploy', folder), {
      status: 78,
      reason: 'PORT_IN_USE',
      says: new RegExp(`port ${address.port} of 127\\.0\\.0\\.1 is in use`),
    })
    server.close()
    assert.deepEqual(await node.ps(), [])
  })

  test("the node's own port in use is named by quiver up", async () => {
    const data = path.join(node.folder, 'second')
    const listen = `127.0.0.1:${node.httpPort}`
    const result = await node.quiverWith(
      { env: { QUIVER_DATA: data } },
      'up',
      '--detach',
      '--listen-http',
      listen,
      '--listen-https',
      'off',
    )
    assertRefused(result, { status: 78, reason: 'PORT_IN_USE', says: new RegExp(listen) })
  })
})

suite('a start', () => {
  const cases: readonly (readonly [
    what: string,
    manifest: string,
    program: string,
    status: number,
    reason: string,
    says: RegExp,
  ])[] = [
    [
      'that exits at once',
      WEB,
      'console.error("no database"); process.exit(3)',
      502,
      'EXITED_EARLY',
      /exited with status 3/,
    ],
    [
      'that never listens',
      `${WEB}[limits]\nstart_timeout = "500ms"\n`,
      'setInterval(() => {}, 1000)',
      504,
      'START_TIMEOUT',
      /8000/,
    ],
    [
      'on another port',
      `${WEB}[limits]\nstart_timeout = "4s"\n`,
      SERVER.replace('8000', '9000'),
      502,
      'WRONG_PORT',
      /9000/,
    ],
    [
      'whose health path says 500',
      `${WEB}[health]\nready = "/up"\n[limits]\nstart_timeout = "4s"\n`,
      SERVER.replace("response.end('hello')", 'response.writeHead(500).end()'),
      502,
      'UNHEALTHY',
      /\/up .*status 500/,
    ],
  ]
  for (const [what, manifest, program, status, reason, says] of cases) {
    test(`${what} is named to the client and to the owner`, async () => {
      await node.deployFiles({ 'quiver.toml': manifest, 'a.mjs': program })
      const answer = await node.get('app')
      assert.equal(answer.status, status, answer.body)
      const body = JSON.parse(answer.body)
      assert.equal(body.reason, reason)
      assert.match(body.message, says)
      assert.ok(body.hint)
      assert.ok(answer.headers['retry-after'])
      // What it wrote is for the owner alone.
      assert.doesNotMatch(answer.body, /no database/)
      assert.match(await node.ok('describe', 'app'), new RegExp(reason))
      await node.ok('rm', 'app')
    })
  }

  test('of a program that does not exist says so', async () => {
    const { status, stderr } = await node.quiver('run', 'busybox', '--', 'nosuchapplet')
    assert.equal(status, 127)
    assert.match(stderr, /nosuchapplet/)
  })

  test('with a variable that is larger than Linux takes says so', async () => {
    const folder = await node.writeFiles({
      'quiver.toml': HEAD,
      'a.mjs': SERVER,
      'huge.env': `HUGE=${'x'.repeat(200_000)}\n`,
    })
    const result = await node.quiver('run', folder, '--env-file', path.join(folder, 'huge.env'))
    assertRefused(result, { status: 64, reason: 'ENV_FILE_INVALID', says: /HUGE[^]*128 KiB/ })
  })

  test('with more variables than a process may have says so', async () => {
    const lines = Array.from({ length: 40 }, (_, index) => `V${index}=${'x'.repeat(100_000)}\n`)
    const folder = await node.writeFiles({
      'quiver.toml': HEAD,
      'a.mjs': SERVER,
      'many.env': lines.join(''),
    })
    const result = await node.quiver('run', folder, '--env-file', path.join(folder, 'many.env'))
    assert.notEqual(result.status, 0)
    assert.match(result.stderr, /^error: .*(?:environment|too large|too long|bytes)/m)
  })
})
