/** Processes of a node that serves WebAssembly are killed: what can go on goes on, and what is lost is told and replaced. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileCommand } from '../fixtures/compile.ts'

import { ROOT, TestNode } from './harness.ts'
import { underLoad } from './load.ts'
import { executorProcesses, gone, isLive, killAll, killProcess, liveInstance } from './wreck.ts'

const GUEST = path.join(import.meta.dirname, 'guests/web.c')

async function deploy(node: TestNode, name: string, more = ''): Promise<void> {
  const folder = await mkdtemp(path.join(node.folder, 'app-'))
  await copyFile(path.join(node.folder, 'web.wasm'), path.join(folder, 'app.wasm'))
  await writeFile(
    path.join(folder, 'quiver.toml'),
    `name = "${name}"\nfile = "app.wasm"\n[http]\n${more}`,
  )
  await node.ok('deploy', folder)
}

suite('processes of a node that serves WebAssembly are killed', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await compileCommand(GUEST, node.folder)
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** A request that waits in its guest. */
  function beginWaiting(task: string, ms: number) {
    const begun = node.until('a request in flight', async () =>
      (await liveInstance(node, task)).inFlight === 1 ? true : undefined,
    )
    return { answer: node.get(task, `/wait?${ms}`), begun }
  }

  test('control, under load: instances are adopted, no request fails, logs go on', async () => {
    await deploy(node, 'steady')
    await deploy(node, 'waiting')
    await node.get('waiting')
    const waiting = beginWaiting('waiting', 3000)
    await waiting.begun
    const { answers, failures } = await underLoad(node, 'steady', async () => {
      const { id } = await liveInstance(node, 'steady')
      for (let round = 0; round < 3; round++) {
        await killProcess(node, 'control')
        await node.ok('ps')
        assert.equal((await liveInstance(node, 'steady')).id, id)
      }
    })
    assert.deepEqual(failures, [])
    assert.ok(answers.length > 0)
    const slow = await waiting.answer
    assert.deepEqual([slow.status, slow.body], [200, 'waited\n'])
    const follower = spawn(path.join(ROOT, 'bin/quiver'), ['logs', '-f', 'steady'], {
      env: node.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let seen = ''
    follower.stderr.on('data', (chunk) => (seen += String(chunk)))
    await node.get('steady', '/after/all')
    await node.until('the new line', async () => (seen.includes('/after/all') ? true : undefined))
    follower.kill('SIGINT')
    await once(follower, 'exit')
  })

  test('what is deployed, stopped and started later is served by the adopted executor', async () => {
    const { task } = await executorProcesses(node)
    await killProcess(node, 'control')
    await deploy(node, 'later')
    assert.equal((await node.get('later')).status, 200)
    await node.ok('stop', 'steady')
    await node.ok('start', 'steady')
    assert.equal((await node.get('steady')).status, 200)
    assert.equal((await executorProcesses(node)).task, task)
  })

  for (const victim of ['task', 'ainit', 'bwrap'] as const) {
    test(`the executor (${victim}): its requests are told, the next ones find another`, async () => {
      await deploy(node, 'one')
      await deploy(node, 'two')
      await Promise.all([node.get('one'), node.get('two')])
      const waiting = [beginWaiting('one', 60_000), beginWaiting('two', 60_000)]
      await Promise.all(waiting.map(({ begun }) => begun))
      const { [victim]: pid } = await executorProcesses(node)
      process.kill(pid, 'SIGKILL')
      for (const { answer } of waiting) {
        const broken = await answer
        assert.equal(broken.status, 502, broken.body)
        assert.equal(JSON.parse(broken.body).reason, 'INSTANCE_DIED')
      }
      await gone(node, pid)
      for (const task of ['one', 'two']) {
        const next = await node.get(task)
        assert.deepEqual([next.status, next.start], [200, 'cold'], next.body)
      }
      assert.notEqual((await executorProcesses(node))[victim], pid)
    })
  }

  test('the executor, while control is away: the next request is answered', async () => {
    await deploy(node, 'unseen')
    await node.get('unseen')
    const { ainit, task } = await executorProcesses(node)
    await killProcess(node, 'control')
    process.kill(task, 'SIGKILL')
    // What comes while it is dying may be lost: its PID 1 is the last to go.
    await gone(node, ainit)
    const next = await node.get('unseen')
    assert.equal(next.status, 200, next.body)
  })

  test('the proxy: its successor reaches the same instances', async () => {
    await deploy(node, 'behind')
    await node.get('behind')
    const { id } = await liveInstance(node, 'behind')
    await killProcess(node, 'proxy')
    const next = await node.until('an answer', async () => {
      const answer = await node.get('behind')
      return answer.status === 200 ? answer : undefined
    })
    assert.equal(next.start, 'warm')
    assert.equal((await liveInstance(node, 'behind')).id, id)
  })
})

test('everything, executors too: the next start leaves nothing, and requests bring tasks back', async () => {
  await using node = await TestNode.start()
  await compileCommand(GUEST, node.folder)
  await deploy(node, 'back')
  await node.get('back')
  const { task, ainit } = await executorProcesses(node)
  const names = ['supervise', 'control', 'proxy', 'egress'] as const
  const pids = await Promise.all(names.map((name) => node.pid(name)))
  killAll([...pids, ainit])
  for (const pid of [...pids, task]) await gone(node, pid)
  await node.up()
  const lost = (await node.describe('back')).instances.filter(isLive)
  assert.deepEqual(lost, [])
  assert.equal((await node.get('back')).start, 'cold')
})

test('a node of which only the executor lives on adopts it, and ends it with itself', async () => {
  await using node = await TestNode.start()
  await compileCommand(GUEST, node.folder)
  await deploy(node, 'kept')
  await node.get('kept')
  const { id } = await liveInstance(node, 'kept')
  const { task } = await executorProcesses(node)
  const supervise = await node.pid('supervise')
  process.kill(supervise, 'SIGKILL')
  await gone(node, supervise)
  await node.up()
  const answer = await node.get('kept')
  assert.deepEqual([answer.status, answer.start], [200, 'warm'])
  assert.equal((await liveInstance(node, 'kept')).id, id)
  await node.down()
  await gone(node, task)
  assert.deepEqual(await readdir(path.join(node.data, 'executors')), [])
})
