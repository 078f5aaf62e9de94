import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'

import { proposeCompletions, run } from '@stricli/core'

import { buildFakeControl } from '../../tests/fixtures/fake-control.ts'
import * as sample from '../../tests/fixtures/samples.ts'
import { openApiServer } from '../api/server.ts'
import type { ControlService } from '../api/service.ts'
import { openClient } from '../client/client.ts'
import { QuiverError } from '../core/error.ts'

import { app } from './app.ts'
import type { CliContext } from './context.ts'

const MANIFEST = `name = "hello"\nruntime = "node@26"\ncommand = ["server.js"]\n`

/** The whole command line in this process, against a real server with a control service of its own. */
async function open(t: TestContext, overrides: Partial<ControlService> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-cli-'))
  t.after(() => rm(folder, { recursive: true }))
  const control = buildFakeControl(overrides)
  const socket = path.join(folder, 'api.sock')
  const server = await openApiServer({
    service: control,
    onFailure: () => {},
    listeners: [{ listen: { path: socket }, access: { kind: 'unix' } }],
  })
  t.after(() => server[Symbol.asyncDispose]())
  return { control, folder, quiver: commandLine(t, folder, socket) }
}

interface Options {
  readonly input?: string
  readonly isTerminal?: boolean
}

function commandLine(t: TestContext, folder: string, socket: string) {
  return async (argv: readonly string[], { input, isTerminal = false }: Options = {}) => {
    const [stdout, stderr, stdin] = [new PassThrough(), new PassThrough(), new PassThrough()]
    if (isTerminal) Object.assign(stdout, { isTTY: true })
    stdin.end(input)
    const output: { stdout: PassThrough; stderr: PassThrough; exitCode?: number; env: object } = {
      stdout,
      stderr,
      env: { XDG_CACHE_HOME: folder, TERM: 'xterm', NO_COLOR: '1', QUIVER_DATA: folder },
    }
    const context: CliContext = {
      process: { ...output, env: { ...output.env } },
      stdin,
      folder,
      signal: t.signal,
      takeSignals: () => ({ [Symbol.dispose]: () => {} }),
      openClient: async () =>
        openClient({ address: { kind: 'unix', path: socket }, token: undefined }),
      startNode: () => assert.fail('a node was started'),
    }
    const written = Promise.all([text(stdout), text(stderr)])
    await run(app, argv, context)
    stdout.end()
    stderr.end()
    const [out, err] = await written
    return { status: context.process.exitCode ?? 0, stdout: out, stderr: err }
  }
}

suite('what reads', () => {
  const commands: readonly string[][] = [
    ['ps'],
    ['ps', '-i'],
    ['ps', '-a'],
    ['describe', 'hello'],
    ['image', 'ls'],
    ['image', 'inspect', 'hello'],
    ['binary', 'ls'],
    ['binary', 'inspect', 'node'],
    ['top', '--once'],
    ['events'],
    ['node', 'inspect'],
    ['node', 'health'],
    ['config', 'print'],
    ['logs', 'hello', '--time'],
  ]
  for (const argv of commands) {
    test(`quiver ${argv.join(' ')} prints for people, and JSON with --json`, async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 4, 1, 13) })
      const { quiver } = await open(t)
      const { stdout, status } = await quiver(argv)
      assert.equal(status, 0)
      t.assert.snapshot(stdout.split('\n'))
      const json = await quiver([...argv, '--json'])
      const texts =
        argv[0] === 'events' || argv[0] === 'logs' ? json.stdout.trim().split('\n') : [json.stdout]
      for (const one of texts) assert.equal(typeof JSON.parse(one), 'object')
    })
  }

  test('what an application wrote is harmless on a terminal, and unchanged in a pipe', async (t) => {
    const { quiver } = await open(t, { logs: clearScreen })
    assert.equal((await quiver(['logs', 'hello'])).stdout, '\u001b[2J\n')
    assert.equal((await quiver(['logs', 'hello'], { isTerminal: true })).stdout, '\\x1b[2J\n')
  })

  test('a critical node has a status of its own', async (t) => {
    const { quiver } = await open(t, {
      health: async () => ({ ...sample.health, isCritical: true }),
    })
    assert.equal((await quiver(['node', 'health'])).status, 69)
  })
})

suite('what changes', () => {
  const commands: readonly [argv: string[], call: unknown[], said: string][] = [
    [['stop', 'hello'], ['stopTask', 'hello'], 'hello is stopped\n'],
    [['start', 'hello'], ['startTask', 'hello'], 'hello is running\n'],
    [['restart', 'hello'], ['restartTask', 'hello'], 'hello is restarted\n'],
    [
      ['promote', 'hello'],
      ['promote', 'hello'],
      'hello is served by revision 2 (90%), revision 1 (10%)\n',
    ],
    [
      ['rollback', 'hello', '1'],
      ['rollback', 'hello', 1],
      'hello is served by revision 2 (90%), revision 1 (10%)\n',
    ],
    [['scale', 'hello', 'auto'], ['scale', 'hello', null], 'hello scales by itself\n'],
    [['rm', 'hello'], ['removeTask', 'hello'], 'hello is removed\n'],
  ]
  for (const [argv, call, said] of commands) {
    test(`quiver ${argv.join(' ')}`, async (t) => {
      const { quiver, control } = await open(t)
      const { stderr, status } = await quiver(argv)
      assert.deepEqual([status, stderr, control.calls], [0, said, [call]])
    })
  }

  for (const verb of ['stop', 'start', 'restart', 'promote', 'rm', 'image rm', 'binary rm']) {
    test(`quiver ${verb} goes on with the next name after one that fails`, async (t) => {
      const removed: string[] = []
      const remove = async (name: string) => {
        if (name !== 'hello') throw new QuiverError('not_found', 'NOT_THERE', `no ${name}`)
        removed.push(name)
      }
      const { quiver, control } = await open(t, { removeImage: remove, removeBinary: remove })
      const { status, stderr } = await quiver([...verb.split(' '), 'hallo', 'hello', 'other'])
      assert.equal(status, 66)
      const done = [...removed, ...control.calls.map(([, name]) => name)]
      assert.ok(done.includes('hello'))
      const errors = stderr.split('\n').filter((line) => line.startsWith('error: '))
      assert.equal(errors.length, 2)
      assert.match(stderr, /hallo[^]*hello is[^]*other/)
    })
  }

  test('a node that does not answer is told once, however many names there are', async (t) => {
    const { folder } = await open(t)
    const quiver = commandLine(t, folder, path.join(folder, 'nothing.sock'))
    const { status, stderr } = await quiver(['rm', 'a', 'b'])
    assert.equal(status, 69)
    assert.equal(stderr.match(/NODE_UNREACHABLE/g)?.length, 1)
  })

  test('an image of the same name that is left is named', async (t) => {
    const { quiver } = await open(t, { removeImage: async () => {} })
    const { stderr } = await quiver(['image', 'rm', 'hello'])
    assert.match(stderr, /^hello is removed\nan earlier image of hello is still there: \w{12}\n$/)
  })

  test('an error shows the message, then the hint, and exits by its code', async (t) => {
    const { quiver } = await open(t)
    const { status, stderr } = await quiver(['stop', 'hallo'])
    assert.equal(status, 66)
    assert.equal(
      stderr,
      'error: there is no task "hallo" (TASK_NOT_FOUND)\nhint: Did you mean "hello"?\n',
    )
  })
})

suite('deploy', () => {
  test('sends files, then the image, then deploys it with what the flags change', async (t) => {
    const { quiver, control, source } = await withSource(t)
    await writeFile(path.join(source, '.env'), 'A=dotenv\nB=dotenv\n')
    await writeFile(path.join(source, '..', 'extra.env'), 'B=file\nC=file\n')
    const argv = [
      'deploy',
      'app',
      '--traffic',
      '10%',
      '-m',
      '64MiB',
      '-c',
      '0.5',
      '-p',
      '9000:8000',
    ]
    const { status, stdout } = await quiver([...argv, '--env-file', 'extra.env', '-e', 'C=x=y z'])
    assert.equal(status, 0)
    assert.deepEqual([...control.files.values()].map(String), ['serve()'])
    assert.deepEqual(callOf(control.calls, 'deploy'), {
      image: sample.image.digest,
      trafficPercent: 10,
      overrides: {
        env: { A: 'dotenv', B: 'file', C: 'x=y z' },
        memoryBytes: 64 * 1024 ** 2,
        cpuMillis: 500,
        publish: [{ address: '127.0.0.1', hostPort: 9000, port: 8000 }],
      },
    })
    assert.equal(stdout, 'http://hello.localhost:8080/\n')
  })

  test('--dry-run deploys nothing and shows the difference', async (t) => {
    const { quiver, control } = await withSource(t)
    const { stdout } = await quiver(['deploy', 'app', '--dry-run'])
    assert.equal(callOf(control.calls, 'deploy'), undefined)
    assert.equal(
      stdout,
      'hello would change, compared with revision 2:\n  limits.memoryBytes: 134217728 → 268435456\n  ~ server.js\n',
    )
  })

  test('the build command runs in the folder before the files are taken', async (t) => {
    const { quiver, control, source } = await withSource(t)
    const command = '[build]\ncommand = "echo building; echo built > made.txt"\n'
    await writeFile(path.join(source, 'quiver.toml'), MANIFEST + command)
    const { stderr, stdout } = await quiver(['build', 'app'])
    assert.match(stderr, /^building$/m)
    assert.equal(stdout, `${sample.image.digest}\n`)
    assert.ok([...control.files.values()].map(String).includes('built\n'))
  })

  test('a build command that fails stops it', async (t) => {
    const { quiver, control, source } = await withSource(t)
    await writeFile(path.join(source, 'quiver.toml'), `${MANIFEST}[build]\ncommand = "exit 3"\n`)
    const { stderr, status } = await quiver(['deploy', 'app'])
    assert.equal(status, 78)
    assert.match(stderr, /the build command ended with status 3 \(BUILD_FAILED\)/)
    assert.deepEqual(control.calls, [])
  })

  test('a folder without a manifest is explained', async (t) => {
    const { quiver } = await open(t)
    const { status, stderr } = await quiver(['deploy', '.'])
    assert.equal(status, 66)
    assert.match(stderr, /MANIFEST_NOT_FOUND/)
  })
})

suite('processes', () => {
  test('run of a binary passes arguments, input, output and status', async (t) => {
    const { quiver, control } = await open(t)
    const argv = ['run', '--rm', 'busybox', '--', 'cat', '-u']
    const { status, stdout } = await quiver(argv, { input: 'typed\n' })
    assert.deepEqual([status, stdout], [0, 'typed\n'])
    const request = control.calls.find(([name]) => name === 'createRun')?.[1]
    assert.deepEqual(request, {
      image: sample.image.digest,
      overrides: { args: ['cat', '-u'] },
      terminal: null,
      hasStdin: true,
      isDetached: false,
      isRemovedAtEnd: true,
    })
  })

  test('run --detach prints the name', async (t) => {
    const { quiver } = await open(t)
    const { stdout } = await quiver(['run', '--detach', '--name', 'kv', 'busybox'])
    assert.equal(stdout, 'run-1\n')
  })

  test('exec exits with the status of the command, and keeps its streams apart', async (t) => {
    const { quiver } = await open(t)
    const script = 'cat; echo oops >&2; exit 7'
    const argv = ['exec', 'hello', '--lend', '--', 'sh', '-c', script]
    const { status, stdout, stderr } = await quiver(argv, { input: 'in' })
    assert.deepEqual([status, stdout, stderr], [7, 'in', 'oops\n'])
  })

  test('exec is lent what the image has not', async (t) => {
    const { quiver, control } = await open(t)
    await quiver(['exec', 'hello', '--', 'true'])
    const request = control.calls.find(([name]) => name === 'exec')?.[2]
    assert.deepEqual(request, { args: ['true'], env: {}, terminal: null, isLent: true })
  })

  test('attach joins the program', async (t) => {
    const { quiver, control } = await open(t)
    const { stdout } = await quiver(['attach', 'hello'], { input: 'echoed' })
    assert.equal(stdout, 'echoed')
    assert.deepEqual(control.calls, [['attach', 'hello', true]])
  })
})

suite('the grammar', () => {
  test('a command that does not exist is answered with the nearest', async (t) => {
    const { quiver } = await open(t)
    assert.match((await quiver(['deplyo'])).stderr, /^hint: Did you mean "deploy"\?$/m)
  })

  const invalid: readonly [argv: string[], message: RegExp][] = [
    [['deploy', '-m', '64MB'], /"64MB" is not a quantity/],
    [['deploy', '--traffic', '0%'], /"0%" is not a share/],
    [['run', '-p', '99999:1', '.'], /"99999:1" is not a port mapping/],
    [['scale', 'hello', '-1'], /-1/],
    [['logs', 'hello', '--since', 'yesterday'], /"yesterday" is not a time/],
  ]
  for (const [argv, message] of invalid) {
    test(`quiver ${argv.join(' ')} is refused before the node is called`, async (t) => {
      const { quiver, control } = await open(t)
      assert.match((await quiver(argv)).stderr, message)
      assert.deepEqual(control.calls, [])
    })
  }

  test('completion proposes commands, flags and names of the node', async (t) => {
    const control = buildFakeControl()
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-cli-'))
    t.after(() => rm(folder, { recursive: true }))
    const socket = path.join(folder, 'api.sock')
    const server = await openApiServer({
      service: control,
      onFailure: () => {},
      listeners: [{ listen: { path: socket }, access: { kind: 'unix' } }],
    })
    t.after(() => server[Symbol.asyncDispose]())
    const context: CliContext = {
      process: { stdout: new PassThrough(), stderr: new PassThrough(), env: {} },
      stdin: new PassThrough(),
      folder,
      signal: t.signal,
      takeSignals: () => ({ [Symbol.dispose]: () => {} }),
      openClient: async () =>
        openClient({ address: { kind: 'unix', path: socket }, token: undefined }),
      startNode: () => assert.fail('a node was started'),
    }
    const propose = async (...words: string[]) =>
      (await proposeCompletions(app, words, context)).map(({ completion }) => completion)
    assert.deepEqual(await propose('des'), ['describe'])
    assert.ok((await propose('logs', '--f')).includes('--follow'))
    assert.deepEqual(await propose('describe', 'h'), ['hello'])
  })
})

async function* clearScreen() {
  yield { ...sample.logRecord, text: '\u001b[2J' }
}

/** With an application in the folder `app`. */
async function withSource(t: TestContext) {
  const opened = await open(t)
  const source = path.join(opened.folder, 'app')
  await mkdir(source)
  await writeFile(path.join(source, 'quiver.toml'), MANIFEST)
  await writeFile(path.join(source, 'server.js'), 'serve()')
  return { ...opened, source }
}

function callOf(calls: readonly (readonly unknown[])[], name: string): unknown {
  return calls.find(([called]) => called === name)?.[1]
}
