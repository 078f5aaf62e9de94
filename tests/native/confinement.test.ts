/** What a task cannot do: system calls, PID 1, privileges, and where it is put. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { encodeU32, FRAME } from '../../src/core/frames.ts'

import { Instance, isRoot, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

/** Names of what `probe syscalls` tries → what must come of it, where that is not EPERM. */
const EXPECTED: Readonly<Record<string, string>> = {
  clone3: 'ENOSYS',
  unknown: 'ENOSYS',
  'socket-vsock': 'EAFNOSUPPORT',
  'socket-packet': 'EAFNOSUPPORT',
  'socket-alg': 'EAFNOSUPPORT',
  'socket-netfilter': 'EAFNOSUPPORT',
  'socket-sctp': 'EPROTONOSUPPORT',
  'socket-route': 'ok',
  'socket-tcp': 'ok',
  'socket-unix': 'ok',
  'personality-query': 'ok',
  int80: 'killed',
}

/** The folder of this process's cgroup in a hierarchy (v1), where it may be written. */
function findCgroup(controller: string): string | undefined {
  const folder = path.join('/sys/fs/cgroup', controller)
  return isRoot && existsSync(path.join(folder, 'cgroup.procs')) ? folder : undefined
}

/** Names of the processes in a cgroup, oldest first. */
function listMembers(folder: string): readonly string[] {
  const pids = readFileSync(path.join(folder, 'cgroup.procs'), 'utf8').trim().split('\n')
  return pids.map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim())
}

suite('ainit: confinement', () => {
  test('dangerous system calls are refused', async () => {
    await using instance = await Instance.start(workshop, { args: ['/tmp/probe', 'syscalls'] })
    assert.equal(await instance.ended, 0)
    const results = instance.readOutput().trim().split('\n')
    assert.ok(results.length > 50)
    for (const result of results) {
      const [name = '', outcome] = result.split(' ')
      assert.equal(outcome, EXPECTED[name] ?? 'EPERM', name)
    }
  })

  test('they are refused in sessions too', async () => {
    await using instance = await Instance.start(workshop)
    const session = await instance.exec(['/tmp/probe', 'syscalls'])
    const { stdout } = await session.finish()
    assert.match(stdout, /^io_uring_setup EPERM\n/)
    assert.match(stdout, /^int80 killed\n/m)
  })

  test('the filter can be left out', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/bin/grep', 'Seccomp:', '/proc/self/status'],
      records: [['seccomp', '0']],
    })
    assert.equal(await instance.ended, 0)
    assert.match(instance.readOutput(), /^Seccomp:\t0\n/)
  })

  test('PID 1 cannot be read or killed by the task, nor does the task hold its descriptors', async () => {
    await using instance = await Instance.start(workshop, { args: ['/tmp/probe', 'pid1'] })
    const watch = await instance.watch()
    await watch.event('exit')
    assert.equal(
      instance.readOutput(),
      [
        '/proc/1/mem EACCES',
        '/proc/1/fd EACCES',
        '/proc/1/environ EACCES',
        '/proc/1/fd/3 EACCES',
        // The kernel accepts and ignores what PID 1 has no handler for.
        'kill-pid1 ok',
        '',
      ].join('\n'),
    )
  })

  test('no capability is left, also when bwrap gave PID 1 some', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/bin/grep', '-E', 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs', '/proc/self/status'],
      bwrap: ['--cap-add', 'CAP_NET_ADMIN'],
    })
    assert.equal(await instance.ended, 0)
    const none = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map(
      (name) => `${name}:\t0000000000000000\n`,
    )
    const expected = `${none.join('')}NoNewPrivs:\t1\n`
    assert.equal(instance.readOutput(), expected)
  })

  test('it has a network of its own in which it may bind every port', async () => {
    await using instance = await Instance.start(workshop, {
      args: [
        '/bin/sh',
        '-c',
        'ls /sys/class/net >/dev/null; cut -d: -f1 -s /proc/net/dev; exec /tmp/probe serve 127.0.0.9 80',
      ],
      records: [['port', '1']],
    })
    const watch = await instance.watch()
    assert.match(await watch.event('listen'), /port=80 declared=0$/)
    assert.equal(instance.readOutput().trim(), 'lo')
  })

  const pids = findCgroup('pids')
  test(
    'PID 1 and the task join their cgroups, sessions the task’s',
    { skip: pids === undefined },
    async () => {
      const outer = path.join(pids ?? '', `ainit-test-${process.pid}`)
      const task = path.join(outer, 'task')
      mkdirSync(outer)
      mkdirSync(task)
      try {
        await using instance = await Instance.start(workshop, {
          records: [
            ['cgroup', outer],
            ['task_cgroup', task],
          ],
        })
        const watch = await instance.watch()
        await watch.event('exec')
        const session = await instance.exec(['/bin/sh', '-c', 'grep pids: /proc/self/cgroup'])
        assert.match((await session.finish()).stdout, /\/task\n$/)
        assert.deepEqual(listMembers(task), ['probe'])
        assert.deepEqual(listMembers(outer), ['bwrap', '.ainit'])
      } finally {
        rmdirSync(task)
        rmdirSync(outer)
      }
    },
  )

  const freezer = findCgroup('freezer')
  test('PID 1 answers while the task is frozen', { skip: freezer === undefined }, async () => {
    const task = path.join(freezer ?? '', `ainit-test-${process.pid}`)
    mkdirSync(task)
    try {
      await using instance = await Instance.start(workshop, { records: [['task_cgroup', task]] })
      const watch = await instance.watch()
      await watch.event('exec')
      writeFileSync(path.join(task, 'freezer.state'), 'FROZEN')
      const late = await instance.watch()
      await late.event('exec')
      // The session joins the frozen cgroup and so waits.
      const session = await instance.exec(['/bin/echo', 'thawed'])
      late.send(FRAME.SIGNAL, encodeU32(9))
      writeFileSync(path.join(task, 'freezer.state'), 'THAWED')
      await late.event('exit')
      assert.ok(['', 'thawed\n'].includes((await session.finish()).stdout))
      assert.equal(await instance.ended, 137)
    } finally {
      rmdirSync(task)
    }
  })

  test('secrets show in no command line and no environment of the host', async () => {
    const secret = `secret-${process.pid}-of-the-test`
    await using instance = await Instance.start(workshop, {
      records: [
        ['env', `KEY=${secret}`],
        ['token', secret],
      ],
    })
    const watch = await instance.watch()
    await watch.event('exec')
    for (const file of ['cmdline', 'environ']) {
      assert.ok(!readFileSync(`/proc/${instance.pid}/${file}`, 'utf8').includes(secret))
    }
  })
})
