import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import { openCgroups } from './cgroup.ts'

const MIB = 1024 * 1024

/**
 * A folder that looks like a version 2 hierarchy: what is written can be read, and nothing is enforced. The layout and
 * the values are what these tests are about; that they have an effect, the conformance suite shows on the host's own.
 */
async function fakeUnified(t: TestContext): Promise<{ root: string; mountInfo: string }> {
  const root = await mkdtemp(path.join(tmpdir(), 'quiver-cgroup-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(path.join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
  return { root, mountInfo: `30 1 0:26 / ${root} rw - cgroup2 cgroup2 rw\n` }
}

suite('control groups, version 2', () => {
  test('limits and freezing go to the leaf of the task, bwrap and ainit to one beside it', async (t) => {
    const { root, mountInfo } = await fakeUnified(t)
    const hierarchy = openCgroups('node', mountInfo)
    assert.equal(hierarchy.version, 2)
    const group = hierarchy.group('hello-1-abcdef')
    group.create({ memoryBytes: 64 * MIB, cpuMillis: 500, pids: 32 })
    const folder = path.join(root, 'quiver/node/hello-1-abcdef')
    assert.deepEqual(group.outer, [path.join(folder, 'ainit')])
    assert.deepEqual(group.task, [path.join(folder, 'task')])
    const read = (file: string) => readFile(path.join(folder, 'task', file), 'utf8')
    assert.equal(await read('memory.max'), String(64 * MIB))
    assert.equal(await read('memory.swap.max'), '0')
    assert.equal(await read('pids.max'), '32')
    assert.equal(await read('cpu.max'), '50000 100000')
    group.limitCpu(null)
    assert.equal(await read('cpu.max'), 'max 100000')
  })

  test('freezing waits for the kernel to say so, thawing does not', async (t) => {
    const { root, mountInfo } = await fakeUnified(t)
    const group = openCgroups('node', mountInfo).group('one')
    group.create({ memoryBytes: MIB, cpuMillis: null, pids: 1 })
    const task = path.join(root, 'quiver/node/one/task')
    const freezing = group.freeze(AbortSignal.timeout(10_000))
    assert.equal(await readFile(path.join(task, 'cgroup.freeze'), 'utf8'), '1')
    await writeFile(path.join(task, 'cgroup.events'), 'populated 1\nfrozen 1\n')
    await freezing
    assert.ok(group.isFrozen)
    group.thaw()
    assert.ok(!group.isFrozen)
  })

  test('usage is read from the files of version 2', async (t) => {
    const { root, mountInfo } = await fakeUnified(t)
    const group = openCgroups('node', mountInfo).group('one')
    group.create({ memoryBytes: MIB, cpuMillis: null, pids: 1 })
    const files = {
      'memory.current': '4096\n',
      'memory.peak': '8192\n',
      'memory.events': 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n',
      'cpu.stat': 'usage_usec 1500\nuser_usec 1000\n',
      'pids.current': '7\n',
      'pids.events': 'max 5\n',
    }
    for (const [name, text] of Object.entries(files)) {
      await writeFile(path.join(root, 'quiver/node/one/task', name), text)
    }
    assert.deepEqual(group.usage(), {
      memoryBytes: 4096,
      memoryBytesMax: 8192,
      cpuNs: 1_500_000,
      pids: 7,
      oomKills: 2,
      pidsRefused: 5,
    })
  })

  test('what controllers are not delegated is said', async (t) => {
    const { root, mountInfo } = await fakeUnified(t)
    await mkdir(path.join(root, 'quiver/node'), { recursive: true })
    await writeFile(path.join(root, 'quiver/node/cgroup.controllers'), 'memory pids\n')
    assert.deepEqual(openCgroups('node', mountInfo).missing, ['cpu'])
  })
})

test('without any hierarchy nothing is limited, and nothing fails', async () => {
  const hierarchy = openCgroups('node', '')
  assert.equal(hierarchy.version, 'none')
  const group = hierarchy.group('one')
  group.create({ memoryBytes: MIB, cpuMillis: 100, pids: 1 })
  assert.equal(group.canFreeze, false)
  await group.kill()
  await group.remove()
})

test('groups of another node are never listed', async (t) => {
  const { root, mountInfo } = await fakeUnified(t)
  openCgroups('ours', mountInfo).group('one').create({ memoryBytes: MIB, cpuMillis: null, pids: 1 })
  assert.deepEqual(openCgroups('theirs', mountInfo).list(), [])
  assert.deepEqual(openCgroups('ours', mountInfo).list(), ['one'])
  assert.ok(existsSync(path.join(root, 'quiver/theirs')))
})
