/** What a task can see and touch beside itself: nothing of other tasks, of Quiver or of the host. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'

import { TestNode } from '../e2e/harness.ts'

import { deployAttacker, inside, tryPaths } from './attacker.ts'

const isRoot = process.getuid?.() === 0
/** Both are as good as a refusal: what is not there cannot be reached. */
const REFUSED = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENXIO', 'ENOTDIR'])

suite('a hostile task', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await deployAttacker(node, 'eve')
    await deployAttacker(node, 'bob', '[env]\nTOKEN = "of-bob"')
    await node.ok('scale', 'eve', '2')
    await node.get('bob')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  test('sees no process but PID 1 and its own', async () => {
    const seen = await inside(
      node,
      'eve',
      async () => {
        const { readdirSync: list, readFileSync: read } = await import('node:fs')
        const pids = list('/proc').filter((name) => /^\d+$/.test(name))
        return pids.map((pid) => read(`/proc/${pid}/comm`, 'utf8').trim())
      },
      null,
    )
    assert.deepEqual(seen, ['.ainit', 'node-MainThread'])
  })

  test('can signal nobody but itself', async () => {
    const pids = [await node.pid('control'), await node.pid('proxy'), process.pid, 1_000_000]
    const answers = await inside(
      node,
      'eve',
      // 0 asks only whether one may.
      async (targets) => Promise.all(targets.map((pid) => attempt(() => process.kill(pid, 0)))),
      pids,
    )
    assert.deepEqual(answers, ['ESRCH', 'ESRCH', 'ESRCH', 'ESRCH'])
  })

  test('reads nothing of PID 1, which has its uid', async () => {
    const names = 'mem environ maps fd/3 cwd root exe map_files'.split(' ')
    const results = await tryPaths(node, 'eve', [
      ...names.map((name) => ['read', `/proc/1/${name}`] as const),
      ['list', '/proc/1/fd'],
      ['list', '/proc/1/root'],
      ['list', '/proc/1/task/1/cwd'],
    ])
    for (const [what, result] of Object.entries(results)) assert.ok(REFUSED.has(result), what)
  })

  test('finds no file of the host, of the node or of another task', async () => {
    const listed = readdirSync(node.data).map((name) => ['list', `${node.data}/${name}`] as const)
    const results = await tryPaths(node, 'eve', [
      ...listed,
      ['list', node.folder],
      ['list', node.run],
      ['read', `${node.run}/api.sock`],
      ['list', '/run/quiver'],
      ['list', '/var/lib/quiver'],
      ['list', import.meta.dirname],
      ['read', '/etc/shadow'],
      ['read', '/etc/machine-id'],
      ['list', '/home/root'],
      ['list', '/sys/fs/cgroup'],
      ['list', '/sys/kernel'],
      ['list', '/app/../../../../host'],
    ])
    for (const [what, result] of Object.entries(results)) assert.equal(result, 'ENOENT', what)
  })

  test('writes nowhere but to memory that is its own', async () => {
    const paths = '/ /app /etc /usr /usr/bin /lib /dev /proc /proc/self /sys /root /home /.image'
    const results = await tryPaths(node, 'eve', [
      ...paths.split(' ').map((folder) => ['make', `${folder}/x`] as const),
      ...['/etc/hosts', '/etc/passwd', '/etc/resolv.conf', '/app/server.mjs', '/.ainit'].map(
        (file) => ['write', file] as const,
      ),
      ['make', '/tmp/x'],
      ['make', '/run/x'],
      ['make', '/var/tmp/x'],
      ['make', '/dev/shm/x'],
    ])
    const writable = Object.keys(results).filter((what) => results[what] === 'ok')
    assert.deepEqual(writable, ['make /tmp/x', 'make /run/x', 'make /var/tmp/x', 'make /dev/shm/x'])
    const left = await tryPaths(node, 'bob', [
      ['read', '/tmp/x'],
      ['read', '/dev/shm/x'],
    ])
    assert.deepEqual(Object.values(left), ['ENOENT', 'ENOENT'])
  })

  test('changes no setting of the kernel', async () => {
    const settings = [
      'sys/kernel/core_pattern',
      'sys/kernel/hostname',
      'sys/kernel/modprobe',
      'sys/vm/drop_caches',
      'sys/net/ipv4/ip_forward',
      'sys/net/ipv4/ip_unprivileged_port_start',
      'sysrq-trigger',
      'self/uid_map',
      'self/setgroups',
      '1/oom_score_adj',
    ]
    const results = await tryPaths(
      node,
      'eve',
      settings.map((name) => ['write', `/proc/${name}`] as const),
    )
    for (const [what, result] of Object.entries(results)) assert.ok(REFUSED.has(result), what)
    const reads = await tryPaths(node, 'eve', [
      ['read', '/proc/kcore'],
      ['read', '/proc/kmsg'],
      ['read', '/proc/self/pagemap_of_another'],
    ])
    for (const [what, result] of Object.entries(reads)) assert.ok(REFUSED.has(result), what)
  })

  test('has harmless devices only, and cannot make one', async () => {
    const devices = await inside(
      node,
      'eve',
      async () => {
        const { readdirSync: list, statSync: stat } = await import('node:fs')
        return list('/dev').filter((name) => {
          // Links such as stdin lead to descriptors of its own.
          const found = stat(`/dev/${name}`, { throwIfNoEntry: false })
          return found?.isCharacterDevice() === true || found?.isBlockDevice() === true
        })
      },
      null,
    )
    const harmless = 'full null ptmx random tty urandom zero stdin stdout stderr'.split(' ')
    assert.deepEqual(
      devices.filter((name) => !harmless.includes(name)),
      [],
    )
    const { stdout } = await probe('eve', 'nodes')
    assert.equal(stdout, 'mknod-character EPERM\nmknod-block EPERM\n')
  })

  test('has no capability, can gain none, and runs under a filter', async () => {
    const status = await inside(
      node,
      'eve',
      async () => {
        const { readFileSync: read } = await import('node:fs')
        return read('/proc/self/status', 'utf8')
      },
      null,
    )
    const field = (name: string) => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1]
    const none = '0000000000000000'
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.equal(field(set), none, set)
    assert.equal(field('NoNewPrivs'), '1')
    assert.equal(field('Seccomp'), '2')
    assert.equal(field('Uid'), '1000\t1000\t1000\t1000')
    assert.equal(field('Groups')?.trim(), '')
  })

  test('is denied the system calls that lead out', async () => {
    const { stdout } = await probe('eve', 'syscalls')
    const allowed = stdout
      .trim()
      .split('\n')
      .filter((line) => line.endsWith(' ok'))
    assert.deepEqual(allowed, [
      'socket-route ok',
      'socket-tcp ok',
      'socket-unix ok',
      'personality-query ok',
    ])
  })

  test('becomes no other user', async () => {
    const answers = await inside(
      node,
      'eve',
      async () => {
        const calls: (() => unknown)[] = [
          () => process.setuid?.(0),
          () => process.setgid?.(0),
          () => process.setgroups?.([0]),
          () => process.seteuid?.(1001),
        ]
        return await Promise.all(calls.map((call) => attempt(call)))
      },
      null,
    )
    assert.ok(
      answers.every((answer) => answer === 'EPERM' || answer === 'EINVAL'),
      answers.join(),
    )
  })

  test('has a host uid of its own', { skip: !isRoot }, async () => {
    const [eve, bob] = await Promise.all(['eve', 'bob'].map(hostUids))
    assert.ok(eve !== undefined && bob !== undefined)
    assert.ok(eve.length > 0 && bob.length > 0)
    assert.ok(![...eve, ...bob].includes(0))
    assert.ok(eve.every((uid) => !bob.includes(uid)))
  })

  async function hostUids(task: string): Promise<readonly number[]> {
    const { instances } = await node.describe(task)
    const ids = instances.map(({ id }) => `QUIVER_INSTANCE=${id}`)
    return readdirSync('/proc').flatMap((pid) => {
      const environment = /^\d+$/.test(pid) ? readText(`/proc/${pid}/environ`).split('\0') : []
      if (!ids.some((id) => environment.includes(id))) return []
      return [Number(/^Uid:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1])]
    })
  }

  async function probe(task: string, ...args: readonly string[]) {
    return await node.quiver('exec', task, '--', '/app/probe', ...args)
  }
})

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
