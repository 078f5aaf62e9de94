/** The command line as people type it, against a real node: what it prints, where, and its exit status. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import type { Finding } from '../../src/cli/doctor/finding.ts'
import { TEMPLATES } from '../../src/config/templates.ts'

import { ROOT, TestNode } from './harness.ts'
import { freePort } from './shell.ts'

const QUIVER = path.join(ROOT, 'bin/quiver')

/** What a TCP server says to who says `request`. */
async function converse(port: number, request = ''): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  return await text(socket)
}

suite('the command line', { concurrency: false }, () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start('--listen-api', '127.0.0.1:0')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** From a folder of its own, as `cd folder && quiver …`. */
  const inFolder = async (folder: string, ...args: readonly string[]) =>
    await node.quiverWith({ cwd: folder }, ...args)

  suite('run', () => {
    test('keeps stdout and stderr apart, passes stdin and the exit status', async () => {
      const script = 'cat; echo problem >&2; exit 7'
      const result = await node.quiverWith(
        { input: 'text\n' },
        'run',
        'busybox',
        '--',
        'sh',
        '-c',
        script,
      )
      assert.deepEqual([result.status, result.stdout, result.stderr], [7, 'text\n', 'problem\n'])
    })

    test('takes limits, and variables whatever is in them', async () => {
      const value = `a "b" 'c' = $d\nsecond line`
      const flags = ['-m', '200MiB', '-c', '1', '-e', `KEY=${value}`]
      const args = ['--', 'sh', '-c', 'printf %s "$KEY"']
      assert.equal(await node.ok('run', ...flags, 'busybox', ...args), value)
    })

    test('ends with 128 and the signal that Ctrl-C sent', async () => {
      const child = spawn(QUIVER, ['run', 'busybox', '--', 'sh', '-c', 'echo ready; sleep 1000'], {
        env: node.env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      const exited = once(child, 'exit')
      child.kill('SIGINT')
      assert.deepEqual(await exited, [130, null])
      const live = JSON.parse(await node.ok('ps', '--instances', '--json'))
      assert.deepEqual(live, [])
    })

    test(
      'gives a terminal to a program that is run on one',
      { skip: !existsSync('/usr/bin/script') },
      async () => {
        const command = `${QUIVER} run busybox -- sh -c 'test -t 0 && test -t 1 && echo is a terminal; exit 3'`
        const child = spawn('script', ['-qec', command, '/dev/null'], { env: node.env })
        child.stdin.end()
        const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
        assert.match(output, /is a terminal/)
        assert.equal(child.exitCode, 3)
      },
    )

    test('detached: reached, logged, stopped, started, restarted, removed', async () => {
      const folder = await node.writeFiles({
        'quiver.toml':
          'name = "store"\nruntime = "node@26"\ncommand = ["server.mjs"]\n[[port]]\nport = 8000\n',
        'server.mjs': `import { createServer } from 'node:net'
          createServer((socket) => socket.end('hello ' + process.env.QUIVER_TASK)).listen(8000)
          console.log('listening')`,
      })
      const port = await freePort()
      const flags = ['-p', `${port}:8000`, '--name', 'kv', '--detach']
      const run = await inFolder(folder, 'run', ...flags, '.')
      assert.deepEqual([run.status, run.stdout], [0, 'kv\n'], run.stderr)
      assert.match(run.stderr, new RegExp(`^127\\.0\\.0\\.1:${port} → 8000$`, 'm'))
      assert.equal(await converse(port), 'hello kv')
      assert.equal(await node.ok('logs', 'kv'), 'listening\n')
      await node.ok('stop', 'kv')
      assert.equal((await node.describe('kv')).instancesLive, 0)
      await node.ok('start', 'kv')
      assert.equal(await converse(port), 'hello kv')
      await node.ok('restart', 'kv')
      assert.equal(await converse(port), 'hello kv')
      await node.ok('rm', 'kv')
      assert.equal((await node.quiver('describe', 'kv')).status, 66)
    })

    test('a detached run that does not start leaves nothing, and says how to see more', async () => {
      const folder = await node.writeFiles({
        'quiver.toml':
          'name = "bad"\nruntime = "busybox"\nargv0 = "false"\ncommand = []\n[[port]]\nport = 8000\n',
      })
      const { status, stderr } = await inFolder(folder, 'run', '--detach', '--name', 'bad', '.')
      assert.equal(status, 78)
      assert.match(stderr, /status 1[^]*hint: Run it without --detach/)
      assert.equal((await node.quiver('describe', 'bad')).status, 66)
    })

    test('attach joins what runs', async () => {
      await node.ok('run', '--detach', '--stdin', '--name', 'echo', 'busybox', '--', 'cat')
      const joined = await node.quiverWith({ input: 'over there\n' }, 'attach', 'echo')
      assert.deepEqual([joined.status, joined.stdout], [0, 'over there\n'], joined.stderr)
      await node.ok('rm', 'echo')
    })

    test('named configurations run in their order, up to the first that fails', async () => {
      const configs = ['one', 'two', 'three'].map(
        (name) =>
          `[config.${name}]\ncommand = ["-c", "echo ${name}; exit ${name === 'two' ? 4 : 0}"]\n`,
      )
      const folder = await node.writeFiles({
        'quiver.toml': `name = "several"\nruntime = "busybox"\nargv0 = "sh"\n${configs.join('')}`,
      })
      const all = await inFolder(folder, 'run', '--config', 'one,two,three', '.')
      assert.deepEqual([all.status, all.stdout], [4, 'one\ntwo\n'])
      const missing = await inFolder(folder, 'run', '--config', 'tow', '.')
      assert.equal(missing.status, 66)
      assert.match(missing.stderr, /Did you mean "two"\?/)
    })
  })

  suite('new', () => {
    const tools: Readonly<Record<string, string>> = {
      go: '/usr/bin/go',
      nginx: '/usr/sbin/nginx',
      redis: '/usr/bin/redis-server',
      python: '/usr/bin/python3',
    }
    // wasm-templates.test.ts has those whose answer depends on the request.
    const names = Object.keys(TEMPLATES).filter((name) => !/^wasm-(?!js)/.test(name))
    for (const template of names) {
      const tool = tools[template]
      const skip = tool === undefined || existsSync(tool) ? false : `this machine has no ${tool}`
      test(`--template ${template} makes what deploys and answers`, { skip }, async () => {
        const folder = await node.writeFiles({})
        const name = `new-${template}`
        const made = await inFolder(folder, 'new', name, '--template', template)
        assert.equal(made.status, 0, made.stderr)
        const again = await inFolder(folder, 'new', name, '--template', template)
        assert.equal(again.status, 73)
        const app = path.join(folder, name)
        if (template === 'busybox') {
          assert.equal((await inFolder(app, 'run', '.')).status, 0)
          return
        }
        const deployed = await inFolder(app, 'deploy', '.')
        assert.equal(deployed.status, 0, deployed.stderr)
        if (template === 'redis') await node.ok('start', name)
        else assert.equal((await node.get(name)).status, 200)
        await node.ok('rm', name)
      })
    }
  })

  suite('a task', () => {
    before(async () => {
      await node.deployFiles({
        'quiver.toml':
          'name = "web"\nruntime = "node@26"\ncommand = ["server.mjs"]\n[http]\nport = 8000\n',
        'server.mjs': `import { createServer } from 'node:http'
          createServer((request, response) => {
            console.log('asked for', request.url, request.headers['x-request-id'])
            if (request.url === '/end') process.exit(0)
            response.end('web')
          }).listen(process.env.PORT)`,
      })
      await node.get('web', '/first', { headers: { 'x-request-id': 'the-first' } })
      await node.get('web', '/second')
    })

    const reading: readonly (readonly string[])[] = [
      ['ps'],
      ['ps', '--instances'],
      ['ps', '-a'],
      ['describe', 'web'],
      ['top', '--once'],
      ['image', 'ls'],
      ['image', 'inspect', 'web'],
      ['binary', 'ls'],
      ['binary', 'inspect', 'node'],
      ['config', 'print'],
      ['node', 'inspect'],
      ['node', 'health'],
      ['doctor'],
      ['version'],
    ]
    for (const args of reading) {
      test(`${args.join(' ')} prints text, and JSON with --json`, async () => {
        assert.notEqual(await node.ok(...args), '')
        JSON.parse(await node.ok(...args, '--json'))
      })
    }

    test('doctor examines the addresses and user ids that are configured', async () => {
      const data = path.join(node.folder, 'other')
      await mkdir(data)
      await writeFile(path.join(data, 'node.toml'), '[listen]\nhttps = "off"\n[uid]\nbase = 4000\n')
      const taken = `127.0.0.1:${node.httpPort}`
      const examine = async (listen: string) => {
        const env = { QUIVER_DATA: data, QUIVER_LISTEN_HTTP: listen, QUIVER_LISTEN_API: '[::1]:0' }
        const { stdout } = await node.quiverWith({ env }, 'doctor', '--json')
        const { findings }: { findings: Finding[] } = JSON.parse(stdout)
        return (feature: string) => findings.find((finding) => finding.feature === feature)
      }
      const find = await examine(taken)
      const http = find(`http on ${taken}`)
      assert.equal(http?.isPresent, false)
      assert.match(http.remedy, /Another program listens there.*--listen-http/)
      assert.equal(find('https on 127.0.0.1:8443'), undefined)
      assert.equal(find('http on 127.0.0.1:8080'), undefined)
      if (process.getuid?.() === 0)
        assert.equal(find('user ids for tasks')?.detail, '4000 to 28999')
      assert.match(
        (await examine('192.0.2.1:80'))('http on 192.0.2.1:80')?.remedy ?? '',
        /no such address/,
      )
      assert.match(
        (await examine('nowhere'))('settings')?.remedy ?? '',
        /QUIVER_LISTEN_HTTP.*nowhere/,
      )
    })

    test('logs selects lines', async () => {
      const lines = async (...flags: readonly string[]) =>
        (await node.ok('logs', 'web', ...flags)).split('\n').slice(0, -1)
      assert.equal((await lines()).length, 2)
      assert.match((await lines('--tail', '1')).join(), /^asked for \/second/)
      assert.deepEqual(await lines('--grep', '/fir.t'), await lines('--request-id', 'the-first'))
      assert.deepEqual(await lines('--since', '2100-01-01'), [])
      assert.equal((await node.quiver('logs', 'web', '--previous')).stdout, '')
    })

    test('logs -f goes on until Ctrl-C, which is no failure of it', async () => {
      const child = spawn(QUIVER, ['logs', '-f', '--tail', '0', 'web'], {
        env: node.env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const heard = once(child.stdout, 'data')
      // Whether it follows already is seen by what it prints: asked until then.
      let isHeard = false
      void heard.then(() => (isHeard = true))
      await node.until('a followed line', async () => {
        await node.get('web', '/third')
        return isHeard ? true : undefined
      })
      assert.match(String((await heard)[0]), /^asked for \/third/)
      const exited = once(child, 'exit')
      child.kill('SIGINT')
      assert.deepEqual(await exited, [0, null])
    })

    test('logs -f ends when the task is removed', async () => {
      const command = 'command = ["-c", "echo here; exec sleep 1000"]'
      await node.deployFiles({
        'quiver.toml': `name = "leaving"\nruntime = "busybox"\nargv0 = "sh"\n${command}\n`,
      })
      await node.ok('start', 'leaving')
      const child = spawn(QUIVER, ['logs', '-f', 'leaving'], {
        env: node.env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      await once(child.stdout, 'data')
      await node.ok('rm', 'leaving')
      assert.deepEqual(await exited, [0, null])
    })

    test('exec runs what the image has as the program is run, lends a shell, and says what is not there', async () => {
      assert.match(await node.ok('exec', 'web', '--', 'node', '--version'), /^v26\./)
      const shell = await node.quiverWith({ input: 'echo $0; exit 5\n' }, 'exec', 'web', '--', 'sh')
      assert.deepEqual([shell.status, shell.stdout], [5, 'sh\n'])
      const env = await node.ok('exec', '-e', 'MORE=is more', 'web', '--', 'env')
      assert.match(env, /^PORT=\d+$/m)
      assert.match(env, /^QUIVER_INSTANCE=web-/m)
      assert.match(env, /^MORE=is more$/m)
      assert.equal(await node.ok('exec', 'web', '--', 'pwd'), '/app\n')
      const none = await node.quiver('exec', 'web', '--', '/no/such/program')
      assert.equal(none.status, 78)
      assert.match(none.stderr, /no such program/)
    })

    test('what is in use is not removed, and says by whom it is used', async () => {
      for (const args of [
        ['image', 'rm', 'web'],
        ['binary', 'rm', 'node'],
      ]) {
        const { status, stderr } = await node.quiver(...args)
        assert.equal(status, 78)
        assert.match(stderr, /is used by (revision|the image)/)
      }
      await node.ok('image', 'gc')
      assert.equal((await node.get('web')).body, 'web')
    })

    test('open prints the URL, events tell what happened', async () => {
      assert.equal(await node.ok('open', 'web'), `http://web.localhost:${node.httpPort}/\n`)
      const lines = (await node.ok('events', '--task', 'web', '--json')).trim().split('\n')
      const types = lines.map((line) => JSON.parse(line).type)
      assert.deepEqual(types.slice(0, 3), ['deployed', 'instanceStarting', 'instanceReady'])
    })

    test('completion is valid bash, and knows commands and tasks', async () => {
      const script = await node.ok('completion', 'bash')
      const bash = spawn('bash', ['-n'], { stdio: ['pipe', 'inherit', 'inherit'] })
      bash.stdin.end(script)
      assert.deepEqual(await once(bash, 'exit'), [0, null])
      const propose = async (...words: readonly string[]) =>
        (await node.quiverWith({ env: { QUIVER_COMPLETE: '1' } }, ...words)).stdout.trim()
      assert.equal(await propose('depl'), 'deploy')
      assert.equal(await propose('describe', 'we'), 'web')
      assert.equal(await propose('image', 'ins'), 'inspect')
    })
  })

  test(
    'a published port wakes its task',
    { skip: !existsSync('/usr/bin/redis-server') },
    async () => {
      const port = await freePort()
      await node.deployExample('redis', '-p', `${port}:6379`)
      assert.equal((await node.describe('redis')).instancesLive, 0)
      assert.equal(await converse(port, 'PING\r\nQUIT\r\n'), '+PONG\r\n+OK\r\n')
      assert.equal((await node.describe('redis')).instancesLive, 1)
    },
  )

  test('another machine reaches it by address and token, and not without', async () => {
    const { addresses } = JSON.parse(await node.ok('node', 'inspect', '--json'))
    const remote = { QUIVER_HOST: `http://${addresses['api-tcp']}`, QUIVER_DATA: '/nonexistent' }
    const token = (await node.ok('token')).trim()
    const allowed = await node.quiverWith(
      { env: { ...remote, QUIVER_TOKEN: token } },
      'ps',
      '--json',
    )
    assert.equal(allowed.status, 0, allowed.stderr)
    for (const wrong of ['', `${token}x`]) {
      const refused = await node.quiverWith({ env: { ...remote, QUIVER_TOKEN: wrong } }, 'ps')
      assert.equal(refused.status, 77)
      assert.match(refused.stderr, /^hint: .*token/im)
    }
  })

  test('"help VERB" is "VERB --help", and completion proposes no empty end of flags', async () => {
    const asked = await node.ok('help', 'deploy')
    assert.equal(asked, await node.ok('deploy', '--help'))
    assert.match(await node.ok('help'), /^COMMANDS$/m)
    const completing = { env: { QUIVER_COMPLETE: '1' } }
    const { stdout } = await node.quiverWith(completing, 'deploy', '--')
    assert.match(stdout, /^--traffic$/m)
    assert.doesNotMatch(stdout, /^--$/m)
  })

  const mistakes: readonly (readonly [args: readonly string[], status: number, says: RegExp])[] = [
    [['deplyo'], 64, /Did you mean "deploy"/],
    [['ps', '--jsno'], 64, /--json/],
    [['scale', 'web', 'many'], 64, /hint: Write a whole number/],
    [['describe', 'wbe'], 66, /no task "wbe"/],
    [['run', 'nothing-like-it'], 66, /hint: There are: /],
    [['deploy', '/no/such/folder'], 66, /hint: Create one with "quiver new/],
    [['run', './no-such-program'], 66, /error: there is no \.\/no-such-program/],
    [['--host', 'unix:/no/such.sock', 'ps'], 69, /hint: Start one with "quiver up"/],
    [['--host', 'http://127.0.0.1:1', 'down'], 64, /node of this machine.*http:\/\/127/],
    [['--host', 'http://127.0.0.1:1', 'token'], 64, /hint: Run it on that machine/],
  ]
  for (const [args, expected, says] of mistakes) {
    test(`quiver ${args.join(' ')} ends with ${expected} and a hint`, async () => {
      const { status, stdout, stderr } = await node.quiver(...args)
      assert.equal(stdout, '')
      assert.match(stderr, says)
      assert.equal(status, expected, stderr)
    })
  }
})
