import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, Server } from 'node:net'
import path from 'node:path'
import { suite, test } from 'node:test'

import { close, listenSeqpacket } from '../../src/fds/fds.ts'

import { mutate, randomFrom } from './mutation.ts'
import {
  ask,
  descriptorsOf,
  openFolder,
  serve,
  shell,
  supervise,
  superviseBytes,
  toBytes,
} from './supervise-harness.ts'

const isRoot = process.getuid?.() === 0
const sleeper = shell('exec sleep 1000')

/** Takes a moment to end, and says when it is up. */
const polite = (name: string): readonly string[] => [
  `process=${name}`,
  ...shell(`trap 'sleep 0.05; exit 0' TERM; echo ${name} is up >&2; while :; do sleep 0.01; done`),
]

suite('sockets', () => {
  test('are handed over in the order of the process, and only to it', async (t) => {
    const folder = await openFolder(t)
    const node = await supervise(
      t,
      [
        'listen=first tcp 127.0.0.1:0',
        'listen=six tcp [::1]:0',
        `listen=local-api unix ${folder}/a socket 0660 ${process.getgid?.()}`,
        'process=control',
        'socket=local-api',
        'socket=first',
        ...serve,
        'process=proxy',
        'socket=six',
        ...serve,
      ],
      folder,
    )
    const pid = await node.pidOf('control')
    const [first, six] = [await node.addressOf('first'), await node.addressOf('six')]
    assert.match(first, /^127\.0\.0\.1:[1-9]\d+$/)
    assert.match(six, /^\[::1\]:[1-9]\d+$/)
    assert.equal(await node.addressOf('local-api'), `${folder}/a socket`)
    assert.equal(statSync(`${folder}/a socket`).mode & 0o777, 0o660)
    const common = { LISTEN_ADDRESS_FIRST: first, LISTEN_ADDRESS_SIX: six }

    const byFile = JSON.parse(await ask(`${folder}/a socket`))
    assert.deepEqual(byFile, {
      fd: 3,
      pid,
      parent: node.pid,
      env: {
        ...common,
        LISTEN_PID: String(pid),
        LISTEN_FDS: '2',
        LISTEN_FDNAMES: 'local-api:first',
      },
      inherited: '',
    })
    assert.equal(JSON.parse(await ask(first)).fd, 4)
    const bySix = JSON.parse(await ask(six))
    assert.deepEqual([bySix.fd, bySix.env.LISTEN_FDNAMES], [3, 'six'])
  })

  test('stay open while their process is dead: clients wait and are answered', async (t) => {
    const node = await supervise(t, [
      'listen=http tcp 127.0.0.1:0',
      'process=control',
      'socket=http',
      ...serve,
    ])
    const address = await node.addressOf('http')
    const before = JSON.parse(await ask(address)).pid
    process.kill(before, 'SIGKILL')
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(address)))
    const pids = new Set(answers.map((answer) => JSON.parse(answer).pid))
    assert.deepEqual(pids, new Set([await node.pidOf('control', 2)]))
  })

  test('a port in use is named, and nothing is started or left behind', async (t) => {
    const server = new Server().listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const folder = await openFolder(t)
    const node = await supervise(
      t,
      [
        `listen=api unix ${folder}/api 0600 0`,
        `listen=http tcp 127.0.0.1:${address.port}`,
        'process=control',
        ...sleeper,
      ],
      folder,
    )
    assert.equal(await node.exited, 69)
    const where = `127.0.0.1:${address.port}`
    assert.equal(
      node.said,
      `supervise: error: cannot listen on ${where} (http): Address already in use\n`,
    )
    assert.ok(!existsSync(`${folder}/api`))
  })

  test('a socket file that a killed supervisor left is replaced', async (t) => {
    const folder = await openFolder(t)
    close(listenSeqpacket(`${folder}/p`, 0o600))
    const node = await supervise(
      t,
      [`listen=p seqpacket ${folder}/p 0600 0`, 'process=control', ...sleeper],
      folder,
    )
    await node.pidOf('control')
    assert.equal(await node.end(), 0)
    assert.ok(!existsSync(`${folder}/p`))
  })

  test('a socket file that somebody listens on is not', async (t) => {
    const folder = await openFolder(t)
    const server = createServer((socket) => {
      // The supervisor looks whether anybody is here, and leaves at once.
      socket.on('error', () => socket.destroy())
      socket.end('mine')
    }).listen(`${folder}/s`)
    await once(server, 'listening')
    t.after(() => server.close())
    const records = [`listen=s unix ${folder}/s 0600 0`, 'process=control', ...sleeper]
    assert.equal(await (await supervise(t, records, folder)).exited, 69)
    assert.equal(await ask(`${folder}/s`), 'mine')
  })

  test('a file that is not a socket is never removed', async (t) => {
    const folder = await openFolder(t)
    await writeFile(`${folder}/notes`, 'precious')
    const records = [`listen=s unix ${folder}/notes 0600 0`, 'process=control', ...sleeper]
    assert.equal(await (await supervise(t, records, folder)).exited, 69)
    assert.equal(await readFile(`${folder}/notes`, 'utf8'), 'precious')
  })
})

suite('processes', () => {
  test('that keep ending are started again, at once and then later and later', async (t) => {
    const node = await supervise(t, ['process=crashing', ...shell('exit 3')])
    await node.says(/starts again in 400 ms/)
    assert.deepEqual(
      [...node.said.matchAll(/in (\d+) ms/g)].map(([, delay]) => delay),
      ['100', '200', '400'],
    )
    assert.match(node.said, /crashing ended pid=\d+ status=3/)
    assert.equal(await node.end(), 0)
  })

  test('that cannot be run say why', async (t) => {
    const node = await supervise(t, ['process=missing', 'arg=/no/such/program'])
    await node.says(/supervise: missing: \/no\/such\/program: No such file or directory/)
    await node.says(/missing ended pid=\d+ status=127/)
  })

  test('end in the opposite order of their listing, each before the next', async (t) => {
    const node = await supervise(t, [...polite('a'), ...polite('b'), ...polite('c')])
    await Promise.all(['a', 'b', 'c'].map((name) => node.says(new RegExp(`${name} is up`))))
    assert.equal(await node.end(), 0)
    assert.deepEqual(
      [...node.said.matchAll(/([abc]) ended pid=\d+ (.*)/g)].map(([, name, how]) => [name, how]),
      [
        ['c', 'status=0'],
        ['b', 'status=0'],
        ['a', 'status=0'],
      ],
    )
    assert.ok(!existsSync(path.join(node.folder, 'ready')))
  })

  test('that ignore SIGTERM are killed after stop_ms', async (t) => {
    const stubborn = shell('trap "" TERM; echo deaf >&2; while :; do sleep 0.01; done')
    const node = await supervise(t, ['process=stubborn', 'stop_ms=50', ...stubborn])
    await node.says(/deaf/)
    assert.equal(await node.end(), 0)
    assert.match(node.said, /stubborn did not end in 50 ms and is killed/)
    assert.match(node.said, /stubborn ended pid=\d+ signal=9/)
  })

  test('take along what they started in their group', async (t) => {
    const folder = await openFolder(t)
    const leaveOne = `[ -e ${folder}/done ] && exec sleep 1000
      : >${folder}/done; sleep 1000 & exit 1`
    const node = await supervise(t, ['process=parent', ...shell(leaveOne)])
    await node.pidOf('parent', 2)
    const closed = once(node.child, 'close')
    await node.end()
    // Its output ends with the last process that may write to it: the one that was left, if it had not been killed.
    await closed
  })

  test('SIGHUP restarts control, at once and alone', async (t) => {
    const node = await supervise(t, ['process=control', ...sleeper, 'process=proxy', ...sleeper])
    const proxy = await node.pidOf('proxy')
    for (const times of [2, 3]) {
      node.child.kill('SIGHUP')
      await node.pidOf('control', times)
    }
    assert.notDeepEqual(descriptorsOf(proxy), [])
    assert.doesNotMatch(node.said, /starts again/)
  })

  test('can be somebody else, for good', { skip: !isRoot && 'only root can' }, async (t) => {
    const node = await supervise(t, [
      'process=proxy',
      'uid=12345',
      'gid=23456',
      ...shell('exec grep -E "^(Uid|Gid|Groups|CapEff|NoNewPrivs)" /proc/self/status >&2'),
    ])
    await node.says(/NoNewPrivs:\t1/)
    assert.match(node.said, /Uid:(\t12345){4}\nGid:(\t23456){4}\nGroups:\t\s*\nCapEff:\t0{16}/)
  })

  test('get their environment beside that of the supervisor', async (t) => {
    const node = await supervise(t, [
      'process=p',
      'env=GREETING=two words = "one"',
      'env=HOME=/elsewhere',
      ...shell('echo "[$GREETING] $HOME [$PATH]" >&2; exec sleep 1000'),
    ])
    const [, path_] = await node.says(/\[two words = "one"\] \/elsewhere \[(.*)\]/)
    assert.equal(path_, process.env['PATH'])
  })
})

suite('the lock', () => {
  test('a second supervisor is refused and names the first', async (t) => {
    const first = await supervise(t, ['process=control', ...sleeper])
    await first.pidOf('control')
    const second = await supervise(t, ['process=control', ...sleeper], first.folder)
    assert.equal(await second.exited, 73)
    assert.match(second.said, new RegExp(`held by pid ${first.pid}\\n`))
  })

  test('after kill -9 the next one begins when the processes of the first have ended', async (t) => {
    const slow = shell(
      'trap "sleep 0.2; exit 0" TERM; echo trapped >&2; while :; do sleep 0.01; done',
    )
    const first = await supervise(t, ['listen=http tcp 127.0.0.1:0', 'process=p', ...slow])
    await first.says(/trapped/)
    const child = await first.pidOf('p')
    const address = await first.addressOf('http')
    first.child.kill('SIGKILL')
    await first.exited
    const second = await supervise(
      t,
      [`listen=http tcp ${address}`, 'process=p', ...sleeper],
      first.folder,
    )
    await second.pidOf('p')
    assert.deepEqual(descriptorsOf(child), [])
    assert.equal(await second.end(), 0)
  })
})

test(
  'a process that a killed supervisor could not tell is told by the next one',
  { skip: !isRoot && 'only root can' },
  async (t) => {
    // A change of uid by the process itself forgets its parent-death signal.
    const lost = ['/usr/bin/setpriv', '--reuid=12345', '--clear-groups', '/bin/sh', '-c']
    const line = 'echo changed >&2; exec sleep 1000'
    const records = ['process=p', ...[...lost, line].map((arg) => `arg=${arg}`)]
    const first = await supervise(t, records)
    await first.says(/changed/)
    const child = await first.pidOf('p')
    first.child.kill('SIGKILL')
    await first.exited
    assert.notDeepEqual(descriptorsOf(child), [])
    const second = await supervise(t, ['process=p', ...sleeper], first.folder)
    await second.pidOf('p')
    assert.deepEqual(descriptorsOf(child), [])
  },
)

suite('the file', () => {
  const wrong: readonly [what: string, records: readonly string[], expected: RegExp][] = [
    ['an unknown key', ['color=red', 'process=p', ...sleeper], /record 3 .*color=red/],
    ['no process', [], /no record "process"/],
    ['a process without a command', ['process=p'], /"p" has no record "arg"/],
    ['a relative program', ['process=p', 'arg=sleep'], /record 4 .*arg=sleep/],
    ['an unknown socket', ['process=p', 'socket=http', ...sleeper], /record 4 .*socket=http/],
    ['a global key too late', ['process=p', ...sleeper, 'notify=3'], /record 7 .*notify=3/],
    ['a process twice', ['process=p', ...sleeper, 'process=p'], /record 7 .*process=p/],
    ['a bad name', ['process=a b', ...sleeper], /record 3 .*process=a b/],
    ['a bad kind', ['listen=http udp 1.2.3.4:5'], /record 3 .*udp/],
    ['a mode of letters', ['listen=s unix /tmp/x rw 0'], /record 3/],
    ['a mode beyond 0777', ['listen=s unix /tmp/x 4777 0'], /record 3/],
    ['a path that is too long', [`listen=s unix /${'x'.repeat(107)} 0600 0`], /record 3/],
    ['a relative path', ['listen=s unix x 0600 0'], /record 3/],
    ['a uid alone', ['process=p', 'uid=1', ...sleeper], /needs both uid and gid/],
    ['a uid that is no number', ['process=p', 'uid=-1', ...sleeper], /record 4/],
    ['an env without a name', ['process=p', 'env==x', ...sleeper], /record 4/],
    ['17 processes', Array.from({ length: 17 }, (_, n) => `process=p${n}`), /record 19/],
    ['33 sockets', Array.from({ length: 33 }, (_, n) => `listen=s${n} tcp 1.2.3.4:0`), /record 35/],
    ['65 arguments', ['process=p', ...Array.from({ length: 65 }, () => 'arg=/x')], /record 68/],
    ['notify without a descriptor', ['notify=77', 'process=p', ...sleeper], /record 3 .*notify=77/],
  ]
  for (const [what, records, expected] of wrong) {
    test(`with ${what} is refused`, async (t) => {
      const node = await supervise(t, records)
      assert.equal(await node.exited, 64)
      assert.match(node.said, expected)
    })
  }

  for (const address of [
    'localhost:80',
    '127.0.0.1',
    '127.0.0.1:65536',
    '[::1:80',
    '::1:80',
    '[]:1',
  ]) {
    test(`with the address ${address} is refused`, async (t) => {
      const node = await supervise(t, [`listen=http tcp ${address}`, 'process=p', ...sleeper])
      assert.equal(await node.exited, 69)
      assert.match(node.said, /\(http\): Invalid argument/)
    })
  }

  test('that is missing is refused', async (t) => {
    const folder = await openFolder(t)
    const node = await superviseBytes(t, Buffer.from('lock=/x\0'), folder)
    assert.equal(await node.exited, 64)
    assert.match(node.said, /cannot read/)
  })

  test('may be broken in 400 ways without a crash', async (t) => {
    const folder = await openFolder(t)
    const valid = toBytes([
      `lock=${folder}/lock`,
      `ready=${folder}/ready`,
      'listen=http tcp 127.0.0.1:0',
      `listen=s unix ${folder}/s 0600 0`,
      'process=control',
      'socket=http',
      'stop_ms=1000',
      'env=A=B',
      ...sleeper,
    ])
    const random = randomFrom(20_261_120)
    const outcomes = new Set<number | string>()
    for (let turn = 0; turn < 400; turn++) {
      // One after the other: they share a lock.
      outcomes.add(await outcomeOf(mutate(valid, random)))
    }
    for (const expected of [0, 64]) assert.ok(outcomes.delete(expected), `none ended ${expected}`)
    for (const outcome of outcomes) assert.ok([69, 71].includes(Number(outcome)), `${outcome}`)

    async function outcomeOf(bytes: Uint8Array): Promise<number | string> {
      const node = await superviseBytes(t, bytes, folder)
      return Promise.race([node.exited, node.says(/ started /).then(() => node.end())])
    }
  })
})
